//! The flags, as clap reads them: what the user said, nothing decided yet.

use super::destination::Destination;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::protocol::Severity;

/// Flags of every command, before or after its name.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Global {
    /// Say more: also what is in sync, skipped, and what commands printed
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Say less: nothing when all is as declared
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// When to use colours
    ///
    /// `auto` uses them on a terminal, unless `NO_COLOR` is set or TERM is `dumb`.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal that has them
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Where the hosts are written down.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sources {
    /// Read hosts from a file, a directory, an executable or a list `a,b,`
    ///
    /// May be given several times; later ones win. Without it, `inventory/` is read.
    #[arg(
        short,
        long,
        value_name = "SOURCE",
        help_heading = "Hosts",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub inventory: Vec<String>,

    /// Set variables that outrank all others: `k=v`, JSON, or `@file`
    #[arg(short = 'e', long, value_name = "VARS", help_heading = "Hosts")]
    #[serde(skip)]
    pub extra_vars: Vec<String>,
}

/// Which hosts, and how to reach them.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[command(next_help_heading = "Hosts")]
pub(super) struct Targets {
    #[command(flatten)]
    pub sources: Sources,

    /// Take only the hosts that match this pattern too, as in `web*:&dc1:!web03` or `@file`
    #[arg(short, long, value_name = "PATTERN", value_parser = NonEmptyStringValueParser::new())]
    pub limit: Option<String>,

    /// List the hosts that would be worked on, and stop
    #[arg(long, group = "list")]
    pub list_hosts: bool,

    #[command(flatten)]
    pub connection: Connection,
}

/// Longer than a host takes that is made from nothing.
const HOST_TIMEOUT: u32 = 7200;

const fn host_timeout() -> u32 {
    HOST_TIMEOUT
}

/// How to reach hosts; the inventory's own variables win over these.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[command(next_help_heading = "Connection")]
pub(super) struct Connection {
    /// Work on so many hosts at once
    #[arg(short, long, value_name = "N", default_value = "50")]
    pub forks: std::num::NonZeroU16,

    /// Log in as this user
    #[arg(short, long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub user: Option<String>,

    /// Log in with this private key
    #[arg(long, value_name = "FILE")]
    pub private_key: Option<std::path::PathBuf>,

    /// Read this file instead of `~/.ssh/config`
    #[arg(long, value_name = "FILE")]
    pub ssh_config: Option<std::path::PathBuf>,

    /// Give up connecting after so many seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "10",
        value_parser = clap::value_parser!(u16).range(1..=3600)
    )]
    pub connect_timeout: u16,

    /// Give a host up that takes more than so many seconds in all
    ///
    /// What its tasks declare for themselves (`timeout`) beyond 15 minutes is added, and so is the
    /// time to send what they need. Waiting for another run (`--lock-timeout`), or for another host
    /// that is the same machine, does not count.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = HOST_TIMEOUT,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    #[serde(default = "host_timeout")]
    pub host_timeout: u32,

    /// Become root on the hosts, through sudo
    #[arg(short, long)]
    pub r#become: bool,

    /// Ask for the password of sudo, or read it from stdin
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,
}

/// Which tasks of a playbook.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Tasks")]
pub(super) struct TaskSelection {
    /// Run only tasks with one of these tags
    #[arg(short, long, value_name = "TAGS", value_delimiter = ',')]
    pub tags: Vec<String>,

    /// Leave out tasks with one of these tags
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub skip_tags: Vec<String>,

    /// List the tasks that would be run, and stop
    #[arg(long, group = "list")]
    pub list_tasks: bool,

    /// List all tags, and stop
    #[arg(long, group = "list")]
    pub list_tags: bool,
}

/// Which findings of a check matter.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Findings")]
pub(super) struct FindingArgs {
    /// Leave out drift milder than this
    ///
    /// It is counted, not shown, and does not make the exit code 2. What failed or could not be
    /// told is shown all the same: how bad that is, nobody knows.
    #[arg(long, value_name = "LEVEL", value_parser = severity_parser())]
    pub min_severity: Option<Severity>,

    /// Leave out drift that an earlier check has seen
    ///
    /// It is counted, not shown, and does not make the exit code 2: silence means nothing new,
    /// not that all is well. `fleet drift` lists what is open.
    #[arg(long)]
    pub only_new: bool,

    /// Take for new what was first seen since then: `2026-11-20`, a time, or as long ago as `24h`
    #[arg(long, value_name = "WHEN", requires = "only_new", value_parser = since)]
    pub since: Option<jiff::Timestamp>,
}

/// The severities as choices.
pub(super) fn severity_parser() -> impl TypedValueParser<Value = Severity> {
    PossibleValuesParser::new(Severity::ALL.map(Severity::as_str))
        .try_map(|text| text.parse::<Severity>())
}

/// A day (its beginning, in UTC), a time, or how long ago.
fn since(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let utc = jiff::tz::TimeZone::UTC;
    let day = text.parse::<jiff::civil::Date>();
    if let Some(day) = day.ok().filter(|day| day.to_string() == text) {
        let begins = day.to_zoned(utc).map_err(|error| error.to_string())?;
        return Ok(begins.timestamp());
    }
    let ago = text
        .parse::<jiff::Span>()
        .ok()
        .filter(|ago| ago.is_positive());
    ago.and_then(|ago| jiff::Timestamp::now().to_zoned(utc).checked_sub(ago).ok())
        .map(|then| then.timestamp())
        .ok_or_else(|| "neither a day (`2026-11-20`), a time (`2026-11-20T08:00Z`) nor how long ago (`24h`, `7d`)".to_owned())
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// For people
    #[default]
    Text,
    /// For programs: one document
    Json,
}

/// How the report looks.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Report")]
pub(super) struct ReportOptions {
    /// Print the report in this format
    ///
    /// With `nagios` the exit code is that of a monitoring plugin: 0 as declared, 1 differs only
    /// where a waiver covers it, 2 drift or failed, 3 could not be told, also because hosts were
    /// unreachable, nothing could be begun or the command line is wrong.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// Write the report into a file, too, as in `html=report.html`; may be given several times
    ///
    /// A file is replaced whole and readable by its owner only; `prometheus` and `nagios`, which
    /// hold counts and no values, by everybody. `jsonl` is written while the run goes on.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = Destination::parse)]
    pub output: Vec<Destination>,

    /// Show what differs inside files, as a unified diff
    #[arg(short = 'D', long)]
    pub diff: bool,
}

/// In which form a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: one document
    Json,
    /// For programs that do not want to wait: a line per host as soon as it is done
    Jsonl,
    /// For build servers: `JUnit` XML
    Junit,
    /// For node exporter's textfile collector
    Prometheus,
    /// For monitoring: one line with performance data, and a plugin's exit code
    Nagios,
    /// For people: a page to search, print, mail and archive
    Html,
}

impl Format {
    /// Whether what a command printed can be told in it.
    pub(super) const fn suits_exec(self) -> bool {
        matches!(self, Self::Text | Self::Json | Self::Jsonl)
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// What `apply`, `check` and `plan` have in common.
#[derive(Args, Clone, Debug)]
pub(super) struct PlaybookArgs {
    /// The playbook
    #[arg(value_name = "PLAYBOOK")]
    pub playbook: std::path::PathBuf,

    #[command(flatten)]
    pub targets: Targets,

    #[command(flatten)]
    pub tags: TaskSelection,

    /// Go by these waivers instead of `waivers.yml` beside the playbook
    ///
    /// Waived drift is shown apart and does not make the exit code 2. `fleet check` names a
    /// waiver that is expired or that nothing needed. `fleet plan` and `fleet apply` go by
    /// waivers only for what no change removes, such as the findings of `docker_policy`.
    #[arg(long, value_name = "FILE", help_heading = "Findings")]
    pub waivers: Option<std::path::PathBuf>,

    #[command(flatten)]
    pub report: ReportOptions,
}

impl PlaybookArgs {
    /// Every task of a playbook, reported in the usual way.
    pub(super) fn all_of(playbook: std::path::PathBuf, targets: Targets) -> Self {
        Self {
            playbook,
            targets,
            tags: TaskSelection::default(),
            waivers: None,
            report: ReportOptions::default(),
        }
    }
}
