"""What more hosts and more resources cost."""

import hashlib
import subprocess
from pathlib import Path

import peers
from loopback import Loopback
from measure import Sample, Section, Target, command, interleaved, mebibytes, say, seconds, table, wall


def hosts(executable: Path, counts: list[int], forks: int, rounds: int) -> Section:
    """The same check on more and more hosts."""
    rows, per_host, memory, open_files = [], {}, {}, {}
    for count in counts:
        with Loopback(count) as some:
            tree = some.directory / "tree"
            say(f"  {count} hosts")
            peers.fleet(executable, some, forks, "apply", some.playbook, tree, "-y")
            runs = {
                "ssh": lambda: peers.ssh_true(some, forks),
                "fleet": lambda: peers.fleet(executable, some, forks, "check", some.playbook, tree),
            }
            samples = interleaved(rounds, runs)
        ssh, fleet = wall(samples["ssh"]), wall(samples["fleet"])
        per_host[count] = fleet / count
        memory[count] = max(sample.memory for sample in samples["fleet"])
        open_files[count] = max(sample.descriptors for sample in samples["fleet"])
        cpu = min(sample.cpu for sample in samples["fleet"])
        rows.append(
            [
                str(count),
                seconds(ssh),
                seconds(fleet),
                f"{fleet / ssh:.2f}",
                f"{1000 * fleet / count:.0f} ms",
                f"{1000 * cpu / count:.1f} ms",
                mebibytes(memory[count]),
                str(open_files[count]),
            ]
        )
    heads = ["hosts", "`ssh host true`", "check", "÷", "per host", "CPU of fleet and ssh per host", "memory of fleet", "open files"]
    text = f"A check of {peers.RESOURCES} resources, {forks} hosts at once, median of {rounds} rounds.\n\n" + table(heads, rows)
    steady = [count for count in counts if count >= 50]
    targets = []
    if len(steady) > 1:
        few, many = steady[0], steady[-1]
        times = [per_host[count] for count in steady]
        targets = [
            Target(f"time per host from {few} hosts on, most ÷ least", max(times) / min(times), 1.1),
            # A report keeps what was found, and here nothing is.
            Target(f"memory at {many} hosts ÷ at {few}", memory[many] / memory[few], 1.5),
            Target(f"open files at {many} hosts ÷ at {few}", open_files[many] / open_files[few], 1.2),
        ]
    return Section("More hosts", text, targets)


PLAY = """\
- name: files
  hosts: all
  tasks:
    - name: file
      copy: {{src: source, dest: "{{{{ tree }}}}/{{{{ item }}}}", mode: "0644"}}
      loop: {numbers}
"""


def resources(executable: Path, counts: list[int], rounds: int) -> Section:
    """A check of more and more files on one host, beside `sha256sum` of them."""
    size = 16 << 10
    rows, targets = [], []
    with Loopback(1) as one:
        source = one.directory / "source"
        source.write_bytes(hashlib.shake_256(b"bench").digest(size))
        for count in counts:
            tree = one.directory / f"tree{count}"
            tree.mkdir()
            playbook = one.directory / f"files{count}.yml"
            playbook.write_text(PLAY.format(numbers=list(range(count))).replace("src: source", f"src: {source}"))
            peers.fleet(executable, one, 1, "apply", playbook, tree, "-y")

            def sums(tree: Path = tree) -> Sample:
                return command(["find", tree, "-type", "f", "-exec", "sha256sum", "{}", "+"], one.directory)

            def check(playbook: Path = playbook, tree: Path = tree) -> Sample:
                return peers.fleet(executable, one, 1, "check", playbook, tree)

            samples = interleaved(rounds, {"ssh": lambda: peers.ssh_true(one, 1), "sha256sum": sums, "fleet": check})
            ssh, plain, fleet = (wall(samples[name]) for name in ("ssh", "sha256sum", "fleet"))
            ratio = fleet / (plain + ssh)
            rows.append([str(count), seconds(ssh), seconds(plain), seconds(fleet), f"{ratio:.2f}"])
            if count == counts[-1]:
                targets.append(Target(f"check of {count} files ÷ (`sha256sum` + `ssh host true`)", ratio, 1.5))
    heads = ["files", "`ssh host true`", "`sha256sum`", "check", "check ÷ both"]
    text = f"Files of {size >> 10} KiB, all as declared, on one host, median of {rounds} rounds.\n\n" + table(heads, rows)
    return Section("More resources", text, targets)


def thousands(root: Path, count: int) -> Section:
    """The controller alone: hosts that answer in the same process."""

    def bench(name: str, *arguments: object) -> str:
        words = ["cargo", "bench", "--quiet", "--locked", "--bench", name, "--", *map(str, arguments)]
        done = subprocess.run(words, cwd=root, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"the bench `{name}` failed")
        return done.stdout

    text = f"{bench('thousands', count)}\nReports, for a night on which everything went wrong:\n\n"
    return Section("Thousands of hosts", f"{text}```\n{bench('report', count // 5)}```\n")
