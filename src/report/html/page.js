'use strict';
// The report's page. What hosts said is data: it is only ever set as text, never as markup.

const { run, hosts, findings, waivers } = JSON.parse(document.getElementById('data').textContent);

/** Worst first: the order of everything on this page. */
const LEVELS = ['unreachable', 'failed', 'critical', 'high', 'medium', 'unknown', 'low', 'info', 'changed', 'waived'];
const LETTERS = { unreachable: '×', failed: '!', critical: 'C', high: 'H', medium: 'M', unknown: '?', low: 'L', info: 'i', changed: '✓', waived: 'w' };
const RANK = Object.fromEntries(LEVELS.map((level, rank) => [level, rank]));
const STATES = { in_sync: 'In sync', changed: 'Changed', drifted: 'Drifted', failed: 'Failed', unknown: 'Unknown', unreachable: 'Unreachable', untouched: 'Untouched' };
const BADNESS = { unreachable: 0, failed: 1, untouched: 2, drifted: 3, unknown: 4, changed: 5, in_sync: 6 };
const SYMBOLS = { create: '+', update: '~', remove: '-', replace: '-/+' };
const NO_ROLE = '(play)';
const ROWS = 25;
const CARDS = 40;
const NAMES = 48;
/** More than this is not laid out at once, not even for print. */
const MOST = 1500;
/** From so many findings on, a search waits until the typing pauses. */
const SLOW = 5000;

const at = (id) => document.getElementById(id);
const plural = (count, noun) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;

/** An element with attributes, listeners and children; strings become text. */
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === 'function') node.addEventListener(key, value);
    else if (value === true) node.setAttribute(key, '');
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ''));
  return node;
}

/** A name that may break after each `_`, so that columns stay narrow. */
const breakable = (text) => text.split('_').flatMap((part, n) => (n ? ['_', el('wbr'), part] : [part]));

// ---- what is derived once -------------------------------------------------------------------

const roles = [];
findings.forEach((finding, index) => {
  finding.index = index;
  finding.role ??= NO_ROLE;
  // Each host with the time its difference was first seen, if that is remembered.
  finding.on = finding.on.flatMap(({ since, hosts: ranges }) =>
    ranges.flatMap(([first, count]) => Array.from({ length: count }, (_, n) => ({ host: first + n, since }))));
  finding.text = [finding.role, finding.task, finding.play, finding.kind, finding.id, finding.attribute, finding.expected,
    finding.actual, finding.message, finding.level, finding.waived?.owner, finding.waived?.reason].join('\n').toLowerCase();
  if (!finding.host_error && !roles.includes(finding.role)) roles.push(finding.role);
});
hosts.forEach((host) => { host.text = host.name.toLowerCase(); });

const isNew = (since) => since !== undefined && since >= run.started;

function age(since) {
  if (since === undefined) return '';
  if (isNew(since)) return 'new';
  const hours = (Date.parse(run.started) - Date.parse(since)) / 3_600_000;
  if (hours < 1) return `${Math.max(1, Math.round(hours * 60))} min old`;
  if (hours < 48) return `${Math.round(hours)} h old`;
  return `${Math.round(hours / 24).toLocaleString('en')} days old`;
}

// ---- filters --------------------------------------------------------------------------------

const everything = () => ({ query: '', levels: new Set(), role: '', status: '', host: '', waived: true, fresh: false });
let filter = everything();
let shownRows = ROWS;
let shownCards = CARDS;

/** The findings that are left, each with the hosts that are left of it; and the hosts to list. */
function select() {
  const words = filter.query.toLowerCase().split(/\s+/).filter(Boolean);
  const named = words.map((word) => hosts.map((host) => host.text.includes(word)));
  const wanted = hosts.map((host) => (!filter.status || host.status === filter.status) && (!filter.host || host.name === filter.host));
  const left = [];
  for (const finding of findings) {
    if (filter.levels.size && !filter.levels.has(finding.level)) continue;
    if (filter.role && finding.role !== filter.role) continue;
    if (!filter.waived && finding.waived) continue;
    // A word is in the finding, or it is in the name of a host.
    const byHost = named.filter((_, n) => !finding.text.includes(words[n]));
    const on = finding.on.filter(({ host, since }) =>
      wanted[host] && (!filter.fresh || isNew(since)) && byHost.every((names) => names[host]));
    if (on.length) left.push({ finding, on });
  }
  left.sort((a, b) => RANK[a.finding.level] - RANK[b.finding.level] || b.on.length - a.on.length || a.finding.index - b.finding.index);
  const found = new Set(left.flatMap(({ on }) => on.map(({ host }) => host)));
  const narrowed = filter.levels.size || filter.role || filter.fresh || !filter.waived;
  const rows = hosts.map((_, n) => n).filter((n) =>
    found.has(n) || (!narrowed && wanted[n] && named.every((names) => names[n])));
  return { left, rows, found };
}

function isFiltered() {
  return filter.query || filter.levels.size || filter.role || filter.status || filter.host || !filter.waived || filter.fresh;
}

function change(part) {
  filter = { ...filter, ...part };
  shownRows = ROWS;
  shownCards = CARDS;
  draw();
  remember();
}

/** The address holds the filter, so that a view can be sent to somebody. */
function remember() {
  const words = new URLSearchParams();
  if (filter.query) words.set('q', filter.query);
  if (filter.levels.size) words.set('severity', [...filter.levels].join(','));
  for (const key of ['role', 'status', 'host']) if (filter[key]) words.set(key, filter[key]);
  if (!filter.waived) words.set('waived', 'no');
  if (filter.fresh) words.set('new', 'yes');
  try { history.replaceState(null, '', `#${words}`); } catch { /* Some viewers forbid it; the page works without. */ }
}

function recall() {
  const words = new URLSearchParams(location.hash.slice(1));
  return {
    ...everything(),
    query: words.get('q') ?? '',
    levels: new Set((words.get('severity') ?? '').split(',').filter((level) => LEVELS.includes(level))),
    role: roles.includes(words.get('role')) ? words.get('role') : '',
    status: Object.hasOwn(STATES, words.get('status') ?? '') ? words.get('status') : '',
    host: hosts.some(({ name }) => name === words.get('host')) ? words.get('host') : '',
    waived: words.get('waived') !== 'no',
    fresh: words.get('new') === 'yes',
  };
}

// ---- drawing --------------------------------------------------------------------------------

let selection;

function draw() {
  selection = select();
  drawTiles();
  drawChips();
  drawMatrix();
  drawFindings();
  at('role').value = filter.role;
  if (at('query').value !== filter.query) at('query').value = filter.query;
  const differences = selection.left.reduce((sum, { on }) => sum + on.length, 0);
  const where = [filter.host && `on ${filter.host}`, filter.status && `hosts: ${STATES[filter.status].toLowerCase()}`, filter.role && `role ${filter.role}`].filter(Boolean).join(', ');
  const all = findings.length;
  const left = selection.left.length;
  at('shown').textContent = (isFiltered() ? `${left.toLocaleString('en')} of ${plural(all, 'finding')}` : plural(all, 'finding'))
    + ` on ${plural(selection.found.size, 'host')}` + (differences > left ? `, ${differences.toLocaleString('en')} in all` : '') + (where ? ` — ${where}` : '');
  at('clear').hidden = !isFiltered();
}

function drawTiles() {
  const count = (status) => hosts.filter((host) => host.status === status).length;
  const tile = (status, label, number) => el('button', {
    type: 'button', class: 'tile', 'data-status': status, 'aria-pressed': String(filter.status === status && status !== ''), disabled: number === 0,
    click: () => change({ status: filter.status === status ? '' : status, host: '' }),
  }, el('b', {}, number.toLocaleString('en')), el('span', {}, status && el('i', { class: `dot st-${status}` }), label));
  const present = Object.keys(STATES).map((status) => [status, count(status)]);
  keepFocus(at('tiles'), () => at('tiles').replaceChildren(tile('', hosts.length === 1 ? 'Host' : 'Hosts', hosts.length),
    ...present.filter(([status, n]) => n || (status !== 'untouched' && (status !== 'changed' || run.command === 'apply'))).map(([status, n]) => tile(status, STATES[status], n))));
  at('bar').replaceChildren(...present.filter(([, n]) => n).map(([status, n]) => {
    const part = el('span', { class: `st-${status}` });
    part.style.flexGrow = n;
    return part;
  }));
}

function drawChips() {
  const count = (level) => findings.filter((finding) => finding.level === level).length;
  const chip = (id, label, pressed, click, disabled) => el('button', { type: 'button', class: 'chip', 'data-chip': id, 'aria-pressed': String(pressed), disabled, click }, label);
  const toggle = (level) => {
    const levels = new Set(filter.levels);
    if (!levels.delete(level)) levels.add(level);
    change({ levels });
  };
  keepFocus(at('levels'), () => at('levels').replaceChildren(...LEVELS.filter((level) => count(level) && level !== 'waived').map((level) =>
    chip(level, [badge(level, LETTERS[level]), ` ${level} `, el('b', {}, count(level).toLocaleString('en'))], filter.levels.has(level), () => toggle(level)))));
  const fresh = findings.filter((finding) => finding.on.some(({ since }) => isNew(since))).length;
  const waived = count('waived');
  keepFocus(at('toggles'), () => at('toggles').replaceChildren(
    fresh ? chip('new', ['Only new ', el('b', {}, fresh.toLocaleString('en'))], filter.fresh, () => change({ fresh: !filter.fresh })) : '',
    waived ? chip('waived', ['Hide waived ', el('b', {}, waived.toLocaleString('en'))], !filter.waived, () => change({ waived: !filter.waived })) : ''));
}

/** Redraws without taking the keyboard away from the button that asked for it. */
function keepFocus(area, redraw) {
  const held = [...area.querySelectorAll('button')].indexOf(document.activeElement);
  redraw();
  if (held >= 0) area.querySelectorAll('button')[held]?.focus();
}

const badge = (level, text, more) => el('span', { class: `lv lv-${level}`, ...more }, text);

function drawMatrix() {
  const { left, rows } = selection;
  const cells = new Map(rows.map((row) => [row, new Map()]));
  const worst = new Map();
  for (const { finding, on } of left) {
    for (const { host } of on) {
      if (RANK[finding.level] < (worst.get(host) ?? LEVELS.length)) worst.set(host, RANK[finding.level]);
      if (finding.host_error) continue;
      const cell = cells.get(host).get(finding.role) ?? { count: 0, level: finding.level };
      cell.count += 1;
      if (RANK[finding.level] < RANK[cell.level]) cell.level = finding.level;
      cells.get(host).set(finding.role, cell);
    }
  }
  const order = (row) => BADNESS[hosts[row].status] * 100 + (worst.get(row) ?? 99);
  const sorted = [...rows].sort((a, b) => order(a) - order(b) || a - b);
  const columns = filter.role ? roles.filter((role) => role === filter.role) : roles;
  if (!rows.length) {
    at('matrix').replaceChildren(el('p', { class: 'empty' }, 'No host is left by these filters.'));
    at('matrix-more').replaceChildren();
    at('legend').replaceChildren();
    return;
  }
  const head = el('tr', {}, el('th', { scope: 'col' }, 'Host'),
    columns.map((role) => el('th', { scope: 'col' }, ...breakable(role))), el('th', { scope: 'col' }, 'Status'));
  const body = sorted.slice(0, shownRows).map((row) => matrixRow(row, columns, cells.get(row)));
  at('matrix').replaceChildren(el('table', { class: 'matrix', role: 'grid', 'aria-labelledby': 'matrix-title', 'aria-rowcount': rows.length + 1, keydown: walk },
    el('thead', {}, head), el('tbody', {}, body)));
  at('matrix').querySelector('tbody button')?.setAttribute('tabindex', '0');
  more(at('matrix-more'), rows.length, shownRows, 'host', () => { shownRows += 4 * ROWS; drawMatrix(); });
  const present = LEVELS.filter((level) => left.some(({ finding }) => finding.level === level));
  at('legend').replaceChildren(present.length ? 'Each cell: the worst of the findings, and how many.' : '',
    ...present.map((level) => el('span', {}, badge(level, LETTERS[level]), ` ${level}`)));
}

function matrixRow(row, columns, cells) {
  const host = hosts[row];
  const name = el('button', { type: 'button', class: 'host', tabindex: '-1', click: () => open({ host: host.name, status: '' }) }, host.name);
  const boxes = columns.map((role) => {
    const cell = cells.get(role);
    if (!cell) return el('td', { class: 'at none' }, el('span', { 'aria-label': 'nothing found' }, '·'));
    const label = `${host.name}, ${role}: ${plural(cell.count, 'finding')}, worst is ${cell.level}`;
    return el('td', { class: 'at' }, el('button', { type: 'button', class: `lv cell lv-${cell.level}`, tabindex: '-1', 'aria-label': label, title: label, click: () => open({ host: host.name, role, status: '' }) },
      `${LETTERS[cell.level]} ${cell.count}`));
  });
  const waived = host.waived ? `, ${host.waived} waived` : '';
  const why = host.error ? `: ${host.error}` : '';
  const meanwhile = host.running ? `; ${host.running}` : '';
  return el('tr', { 'data-host': host.name }, el('th', { scope: 'row' }, name), boxes,
    el('td', { class: 'state' }, el('i', { class: `dot st-${host.status}` }), STATES[host.status] + why + waived + meanwhile));
}

/** Shows what is behind a cell or a name, and goes there. */
function open(part) {
  change(part);
  at('findings').focus();
  at('findings').scrollIntoView({ block: 'start' });
}

/** Arrow keys go from cell to cell; the table is one stop of the Tab key. */
function walk(event) {
  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  const step = steps[event.key];
  const held = event.target.closest('th, td');
  if (!step || !held) return;
  event.preventDefault();
  const lines = [...event.currentTarget.tBodies[0].rows];
  let y = lines.indexOf(held.parentNode) + step[0];
  let x = held.cellIndex + step[1];
  while (lines[y]?.cells[x]) {
    const button = lines[y].cells[x].querySelector('button');
    if (button) {
      event.currentTarget.querySelectorAll('[tabindex="0"]').forEach((other) => other.setAttribute('tabindex', '-1'));
      button.setAttribute('tabindex', '0');
      button.focus();
      return;
    }
    y += step[0];
    x += step[1];
  }
}

function more(area, all, shown, noun, show) {
  area.replaceChildren(...(all > shown
    ? [`${shown.toLocaleString('en')} of ${plural(all, noun)}, the worst first. `, el('button', { type: 'button', click: show }, 'Show more')] : []));
}

function drawFindings() {
  const { left } = selection;
  const clean = !findings.length ? 'Nothing was found: every host is as declared.' : 'No finding is left by these filters.';
  at('list').replaceChildren(...(left.length ? left.slice(0, shownCards).map(card) : [el('p', { class: 'empty' }, clean)]));
  more(at('list-more'), left.length, shownCards, 'finding', () => { shownCards += 4 * CARDS; drawFindings(); });
}

function card({ finding, on }) {
  const since = on.map((one) => one.since).filter(Boolean).sort()[0];
  const node = el('details', { class: finding.waived ? 'finding waived' : 'finding', 'data-finding': finding.index },
    el('summary', {}, badge(finding.level, finding.level),
      el('span', { class: 'subject' }, el('b', {}, finding.kind), ' ', el('bdi', {}, finding.id), ' ', el('span', { class: 'none' }, finding.attribute ?? finding.note), difference(finding)),
      el('span', { class: 'aside' }, el('b', {}, on.length === 1 ? el('bdi', {}, hosts[on[0].host].name) : plural(on.length, 'host')),
        age(since) && el('span', { title: since }, age(since)))));
  node.addEventListener('toggle', () => { if (node.open && !node.querySelector('.body')) node.append(particulars(finding, on)); });
  return node;
}

function difference(finding) {
  if (finding.sensitive) return el('span', { class: 'change' }, 'a secret differs; it is not shown');
  if (!finding.attribute) return finding.message ? el('span', { class: 'change' }, finding.message.split('\n')[0]) : '';
  return el('span', { class: 'change' }, el('span', { class: 'sym' }, SYMBOLS[finding.change]),
    el('bdi', { class: 'was' }, finding.actual || '(none)'), el('span', { class: 'arrow' }, '→'), el('bdi', { class: 'want' }, finding.expected || '(none)'));
}

function particulars(finding, on) {
  const facts = finding.host_error ? [] : [['Task', finding.task], ['Role', finding.role], ['Play', finding.play], ['Severity', finding.severity],
    finding.attribute && !finding.sensitive && ['Found', finding.actual || '(none)'], finding.attribute && !finding.sensitive && ['Declared', finding.expected || '(none)'],
    finding.notifies?.length && ['Notifies', finding.notifies.join('\n')]].filter(Boolean);
  const { waived } = finding;
  return el('div', { class: 'body' },
    waived && el('p', { class: 'waiver' }, el('b', {}, `Waived until ${waived.expires}`), ` by ${waived.owner}: ${waived.reason} `, el('span', { class: 'none' }, `(${waived.place})`)),
    finding.message && el('pre', {}, finding.message),
    facts.length ? el('dl', {}, facts.flatMap(([term, value]) => [el('dt', {}, term), el('dd', {}, el('bdi', {}, value))])) : '',
    finding.diff && el('pre', { class: 'diff' }, finding.diff.split('\n').map(diffLine)),
    el('div', {}, el('h3', {}, on.length === 1 ? 'Host' : plural(on.length, 'host')), hostNames(on)));
}

function diffLine(line) {
  const kind = /^(\+\+\+|---|@@)/.test(line) ? 'at' : line.startsWith('+') ? 'plus' : line.startsWith('-') ? 'minus' : '';
  return el('span', { class: kind }, line || ' ');
}

function hostNames(on) {
  const ages = Map.groupBy(on, ({ since }) => since ?? '');
  const name = ({ host }) => el('button', { type: 'button', class: 'host', click: () => open({ host: hosts[host].name, status: '' }) }, hosts[host].name);
  return el('div', { class: 'hosts' }, [...ages].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([since, group]) => {
    const some = group.slice(0, printing ? group.length : NAMES).map(name);
    const rest = group.slice(some.length);
    const all = rest.length ? el('button', { type: 'button', class: 'all', click: (event) => event.target.replaceWith(...rest.map(name)) }, `and ${rest.length.toLocaleString('en')} more`) : '';
    return [since && el('span', { class: 'since' }, isNew(since) ? 'New in this run' : `First seen ${since.replace('T', ' ').replace('Z', ' UTC')}, ${age(since)}`), ...some, all];
  }));
}

function drawWaivers() {
  at('waivers').hidden = !waivers.length;
  const head = ['Covers', 'Reason', 'Owner', 'Expires', 'Why it is here', 'Written in'].map((title) => el('th', { scope: 'col' }, title));
  at('waiver-list').replaceChildren(el('table', {}, el('thead', {}, el('tr', {}, head)), el('tbody', {}, waivers.map((waiver) =>
    el('tr', {}, [waiver.subject, waiver.reason, waiver.owner, waiver.expires, waiver.why, waiver.place].map((text) => el('td', {}, el('bdi', {}, text))))))));
}

// ---- keyboard, print, start -----------------------------------------------------------------

function goTo(step) {
  const cards = [...document.querySelectorAll('.finding > summary')];
  const held = cards.indexOf(document.activeElement?.closest('.finding')?.firstElementChild);
  const next = cards[held < 0 ? 0 : Math.min(Math.max(held + step, 0), cards.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Escape') {
    at('query').blur();
    change(everything());
    return;
  }
  if (event.target.closest('input, select, textarea')) return;
  if (event.key === '/') {
    event.preventDefault();
    at('query').focus();
    at('query').select();
  } else if (event.key === 'j') goTo(1);
  else if (event.key === 'k') goTo(-1);
});

let typing;
at('query').addEventListener('input', () => {
  const search = () => change({ query: at('query').value });
  clearTimeout(typing);
  if (findings.length < SLOW) search();
  else typing = setTimeout(search, 150);
});
at('role').addEventListener('change', () => change({ role: at('role').value }));
at('clear').addEventListener('click', () => { change(everything()); at('query').focus(); });
window.addEventListener('hashchange', () => { filter = recall(); draw(); });

/** Paper cannot be clicked: what the filters leave is laid out whole, up to a bound. */
let printing = false;
window.addEventListener('beforeprint', () => {
  printing = true;
  shownRows = MOST;
  shownCards = MOST;
  draw();
  document.querySelectorAll('.finding').forEach((node, n) => {
    node.open = true;
    node.append(particulars(selection.left[n].finding, selection.left[n].on));
  });
});
window.addEventListener('afterprint', () => {
  printing = false;
  shownRows = ROWS;
  shownCards = CARDS;
  draw();
});

at('role').append(el('option', { value: '' }, 'all'), ...roles.map((role) => el('option', { value: role }, role)));
filter = recall();
drawWaivers();
draw();
document.documentElement.dataset.ready = 'yes';
