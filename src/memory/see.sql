-- One finding seen by a run: it is new, or it is still there. A run that began before the finding
-- was last seen, or seen to be gone, has nothing new to say.
INSERT INTO findings (
    playbook, host, kind, id, attribute, role, task, severity, expected, actual, waived,
    first_seen_at, first_seen_run, last_seen_at, last_seen_run
)
SELECT
    :playbook, :host, :kind, :id, :attribute, :role, :task, :severity, :expected, :actual, :waived,
    :now, :run, :now, :run
WHERE NOT EXISTS (
    SELECT 1 FROM findings
    WHERE playbook = :playbook AND host = :host AND kind = :kind AND id = :id
      AND attribute = :attribute AND resolved_at > :now
)
ON CONFLICT (playbook, host, kind, id, attribute) WHERE resolved_at IS NULL DO UPDATE SET
    role = excluded.role,
    task = excluded.task,
    severity = excluded.severity,
    expected = excluded.expected,
    actual = excluded.actual,
    waived = excluded.waived,
    last_seen_at = excluded.last_seen_at,
    last_seen_run = excluded.last_seen_run
WHERE excluded.last_seen_at >= last_seen_at
