CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    command TEXT NOT NULL,
    playbook TEXT NOT NULL,
    started_at TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    hosts INTEGER NOT NULL,
    exit_code INTEGER NOT NULL
) STRICT;

CREATE INDEX runs_by_time ON runs (started_at);

CREATE TABLE findings (
    number INTEGER PRIMARY KEY,
    playbook TEXT NOT NULL,
    host TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    attribute TEXT NOT NULL,
    role TEXT,
    task TEXT NOT NULL,
    severity TEXT NOT NULL,
    expected TEXT NOT NULL,
    actual TEXT NOT NULL,
    waived INTEGER NOT NULL,
    first_seen_at TEXT NOT NULL,
    first_seen_run TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    last_seen_run TEXT NOT NULL,
    resolved_at TEXT,
    resolved_run TEXT
) STRICT;

-- While a finding is open, there is one of its name; resolved ones are its history. Each row is
-- in one index only: what a check writes most are findings that are still open.
CREATE UNIQUE INDEX open_findings ON findings (playbook, host, kind, id, attribute)
    WHERE resolved_at IS NULL;

CREATE INDEX resolved_findings ON findings (playbook, host, kind, id, attribute, resolved_at)
    WHERE resolved_at IS NOT NULL;
