//! The flags, as clap reads them: what the user said, nothing decided yet.

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};

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
#[derive(Args, Clone, Debug)]
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
    pub extra_vars: Vec<String>,
}

/// Which hosts, and how to reach them.
#[derive(Args, Clone, Debug)]
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

/// How to reach hosts; the inventory's own variables win over these.
#[derive(Args, Clone, Debug)]
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

    /// Become root on the hosts, through sudo
    #[arg(short, long)]
    pub r#become: bool,

    /// Ask for the password of sudo; without a terminal, the first line of stdin
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,
}

/// Which tasks of a playbook.
#[derive(Args, Clone, Debug, Default)]
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

/// How the report looks.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Report")]
pub(super) struct ReportOptions {
    /// Print the report in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,

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
            report: ReportOptions::default(),
        }
    }
}
