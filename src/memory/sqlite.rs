//! The embedded store: one SQLite file, for all processes of one machine.
//!
//! SQLite's own locks keep processes apart, and its rollback journal makes a transaction whole
//! or nothing, whenever a process is killed. Not the write-ahead log: it would be quicker where
//! many write at once, and wants memory shared between them, which network file systems do not
//! have. A run writes once, at its end.
//!
//! Times are RFC 3339 with three digits, in UTC: text that sorts, and that one can read with
//! `sqlite3 .fleet/memory.db`.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, Row, Transaction, TransactionBehavior, named_params};

use super::{Digest, Finding, MemoryError, Query, RunEntry, Seen, Sighting, Store, Subject};
use crate::report::Command;

/// Raised when older fleets can no longer read what is written.
const FORMAT: i64 = 1;

/// How long to wait for other processes. Each of them holds the file for as long as it takes to
/// write what it found: seconds at most, for thousands of hosts.
const PATIENCE: Duration = Duration::from_mins(1);

/// How much of the file to keep in memory, as SQLite wants it: KiB, negative. Changes that do not
/// fit are synced to the journal one by one.
const CACHE: i64 = -64 * 1024;

const SCHEMA: &str = include_str!("schema.sql");

/// The embedded store.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    path: String,
}

impl Sqlite {
    /// Opens the file, which must exist; an empty one is made a store.
    ///
    /// # Errors
    /// When it is no store, or one of a newer fleet.
    pub fn open(path: &Path) -> Result<Self, MemoryError> {
        let shown = path.display().to_string();
        let failed = |source| MemoryError::Store {
            attempt: "open",
            path: shown.clone(),
            source,
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        connection
            .pragma_update(None, "cache_size", CACHE)
            .map_err(failed)?;
        let mut format = format_of(&connection).map_err(failed)?;
        if format == 0 {
            format = make(&mut connection).map_err(failed)?;
        }
        if format != FORMAT {
            return Err(MemoryError::Newer {
                path: shown,
                format,
            });
        }
        Ok(Self {
            connection,
            path: shown,
        })
    }

    fn error(&self, attempt: &'static str) -> impl Fn(rusqlite::Error) -> MemoryError + use<> {
        let path = self.path.clone();
        move |source| MemoryError::Store {
            attempt,
            path: path.clone(),
            source,
        }
    }
}

fn format_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Makes the tables, unless another process did just now; says which format there is.
fn make(connection: &mut Connection) -> rusqlite::Result<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if format_of(&transaction)? == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    let format = format_of(&transaction)?;
    transaction.commit()?;
    Ok(format)
}

impl Store for Sqlite {
    fn record(
        &mut self,
        run: &RunEntry,
        digest: &Digest,
        forget: Timestamp,
    ) -> Result<(), MemoryError> {
        let failed = self.error("write");
        // Immediate: to read first and then want to write is how two processes block each other.
        self.connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                record(&transaction, run, digest)?;
                prune(&transaction, forget)?;
                transaction.commit()
            })
            .map_err(failed)
    }

    fn findings(&self, query: &Query) -> Result<Vec<Finding>, MemoryError> {
        let read = || {
            let mut statement = self.connection.prepare(
                "SELECT * FROM findings
                 WHERE (:playbook IS NULL OR playbook = :playbook)
                   AND (:resolved OR resolved_at IS NULL)
                 ORDER BY first_seen_at, host, kind, id, attribute",
            )?;
            let parameters = named_params! {
                ":playbook": query.playbook,
                ":resolved": query.resolved,
            };
            let rows = statement.query_map(parameters, finding)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.error("read"))
    }

    fn runs(&self, limit: u32) -> Result<Vec<RunEntry>, MemoryError> {
        let read = || {
            let mut statement = self
                .connection
                .prepare("SELECT * FROM runs ORDER BY started_at DESC, number DESC LIMIT ?1")?;
            let rows = statement.query_map([limit], run_entry)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.error("read"))
    }
}

fn record(transaction: &Transaction<'_>, run: &RunEntry, digest: &Digest) -> rusqlite::Result<()> {
    let now = time(run.started_at);
    transaction.execute(
        "INSERT INTO runs (run, command, playbook, started_at, duration_ms, hosts, exit_code)
         VALUES (:run, :command, :playbook, :started_at, :duration_ms, :hosts, :exit_code)",
        named_params! {
            ":run": run.id,
            ":command": run.command.as_str(),
            ":playbook": run.playbook,
            ":started_at": now,
            ":duration_ms": i64::try_from(run.duration.as_millis()).unwrap_or(i64::MAX),
            ":hosts": i64::try_from(run.hosts).unwrap_or(i64::MAX),
            ":exit_code": run.exit_code,
        },
    )?;
    let mut see = transaction.prepare(include_str!("see.sql"))?;
    for seen in &digest.seen {
        see.execute(named_params! {
            ":playbook": seen.subject.playbook,
            ":host": seen.subject.host,
            ":kind": seen.subject.kind,
            ":id": seen.subject.id,
            ":attribute": seen.subject.attribute,
            ":role": seen.role,
            ":task": seen.task,
            ":severity": seen.severity.as_str(),
            ":expected": seen.expected,
            ":actual": seen.actual,
            ":waived": seen.waived,
            ":now": now,
            ":run": run.id,
        })?;
    }
    let mut resolve = transaction.prepare(
        "UPDATE findings SET resolved_at = :now, resolved_run = :run
         WHERE playbook = :playbook AND host = :host AND kind = :kind AND id = :id
           AND attribute = :attribute AND resolved_at IS NULL AND last_seen_at <= :now",
    )?;
    for subject in &digest.gone {
        resolve.execute(named_params! {
            ":playbook": subject.playbook,
            ":host": subject.host,
            ":kind": subject.kind,
            ":id": subject.id,
            ":attribute": subject.attribute,
            ":now": now,
            ":run": run.id,
        })?;
    }
    Ok(())
}

/// Forgets runs, findings resolved, and findings of hosts and playbooks nobody looks at.
fn prune(transaction: &Transaction<'_>, before: Timestamp) -> rusqlite::Result<()> {
    let before = time(before);
    transaction.execute("DELETE FROM runs WHERE started_at < ?1", [&before])?;
    transaction.execute(
        "DELETE FROM findings WHERE coalesce(resolved_at, last_seen_at) < ?1",
        [&before],
    )?;
    Ok(())
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn run_entry(row: &Row<'_>) -> rusqlite::Result<RunEntry> {
    let duration: i64 = row.get("duration_ms")?;
    let hosts: i64 = row.get("hosts")?;
    Ok(RunEntry {
        id: row.get("run")?,
        command: parsed(row, "command", Command::from_name)?,
        playbook: row.get("playbook")?,
        started_at: parsed(row, "started_at", |text| text.parse().ok())?,
        duration: Duration::from_millis(duration.unsigned_abs()),
        hosts: hosts.unsigned_abs(),
        exit_code: row.get("exit_code")?,
    })
}

fn finding(row: &Row<'_>) -> rusqlite::Result<Finding> {
    let sighting = |at, run| {
        Ok::<_, rusqlite::Error>(Sighting {
            at: parsed(row, at, |text| text.parse().ok())?,
            run: row.get(run)?,
        })
    };
    let resolved: Option<String> = row.get("resolved_at")?;
    Ok(Finding {
        seen: Seen {
            subject: Subject {
                playbook: row.get("playbook")?,
                host: row.get("host")?,
                kind: row.get("kind")?,
                id: row.get("id")?,
                attribute: row.get("attribute")?,
            },
            role: row.get("role")?,
            task: row.get("task")?,
            severity: parsed(row, "severity", |text| text.parse().ok())?,
            expected: row.get("expected")?,
            actual: row.get("actual")?,
            waived: row.get("waived")?,
        },
        first_seen: sighting("first_seen_at", "first_seen_run")?,
        last_seen: sighting("last_seen_at", "last_seen_run")?,
        resolved: resolved
            .map(|_| sighting("resolved_at", "resolved_run"))
            .transpose()?,
    })
}

/// A text column as what it stands for. Who edits the file by hand gets an error, not a panic.
fn parsed<T>(row: &Row<'_>, column: &str, read: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    read(&text).ok_or_else(|| {
        let index = row.as_ref().column_index(column).unwrap_or_default();
        let error = format!("`{text}` in column `{column}`");
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, error.into())
    })
}
