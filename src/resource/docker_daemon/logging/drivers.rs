//! The log drivers that engines have themselves, and their options.
//!
//! From `ValidateLogOpt` and the constructor of each driver in the engine's source.

use crate::resource::docker_daemon::version::Release;

/// What an option takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Is {
    /// Any text.
    Text,
    /// `10m`.
    Size,
    /// `1s`.
    Duration,
    /// `true`.
    Switch,
    /// A whole number from here to there.
    Number(i64, i64),
    /// One of these.
    Word(&'static [&'static str]),
    /// An address with one of these in front of `://`.
    Address(&'static [&'static str]),
}

use Is::{Address, Duration, Number, Size, Switch, Text, Word};

pub(super) type Options = &'static [(&'static str, Is)];

pub(super) const ANY: i64 = i64::MAX;

/// Options of every driver.
pub(super) const COMMON: Options = &[
    ("cache-compress", Switch),
    ("cache-disabled", Switch),
    ("cache-max-file", Number(1, ANY)),
    ("cache-max-size", Size),
    ("max-buffer-size", Size),
    ("mode", Word(&["blocking", "non-blocking"])),
];

/// Options of those that can say more about a container.
pub(super) const LABELS: Options = &[
    ("env", Text),
    ("env-regex", Text),
    ("labels", Text),
    ("labels-regex", Text),
    ("tag", Text),
];

/// The drivers that engines have themselves, and the options of each; `true` if it takes
/// [`LABELS`], too.
pub(super) const DRIVERS: &[(&str, bool, Options)] = &[
    (
        "awslogs",
        false,
        &[
            ("awslogs-create-group", Switch),
            ("awslogs-create-stream", Switch),
            ("awslogs-credentials-endpoint", Text),
            ("awslogs-datetime-format", Text),
            ("awslogs-endpoint", Text),
            ("awslogs-force-flush-interval-seconds", Number(1, ANY)),
            ("awslogs-format", Text),
            ("awslogs-group", Text),
            ("awslogs-max-buffered-events", Number(1, ANY)),
            ("awslogs-multiline-pattern", Text),
            ("awslogs-region", Text),
            ("awslogs-stream", Text),
            ("tag", Text),
        ],
    ),
    (
        "fluentd",
        true,
        &[
            ("fluentd-address", Text),
            ("fluentd-async", Switch),
            ("fluentd-async-connect", Switch),
            ("fluentd-async-reconnect-interval", Duration),
            ("fluentd-buffer-limit", Size),
            ("fluentd-max-retries", Number(0, ANY)),
            ("fluentd-read-timeout", Duration),
            ("fluentd-request-ack", Switch),
            ("fluentd-retry-wait", Duration),
            ("fluentd-sub-second-precision", Switch),
            ("fluentd-write-timeout", Duration),
        ],
    ),
    (
        "gcplogs",
        true,
        &[
            ("gcp-log-cmd", Switch),
            ("gcp-meta-id", Text),
            ("gcp-meta-name", Text),
            ("gcp-meta-zone", Text),
            ("gcp-project", Text),
        ],
    ),
    (
        "gelf",
        true,
        &[
            ("gelf-address", Address(&["tcp", "udp"])),
            ("gelf-compression-level", Number(-1, 9)),
            ("gelf-compression-type", Word(&["gzip", "none", "zlib"])),
            ("gelf-tcp-max-reconnect", Number(0, ANY)),
            ("gelf-tcp-reconnect-delay", Number(0, ANY)),
        ],
    ),
    ("journald", true, &[]),
    (
        "json-file",
        true,
        &[
            ("compress", Switch),
            ("max-file", Number(1, ANY)),
            ("max-size", Size),
        ],
    ),
    (
        "local",
        true,
        &[
            ("compress", Switch),
            ("max-file", Number(1, ANY)),
            ("max-size", Size),
        ],
    ),
    (
        "logentries",
        true,
        &[("line-only", Switch), ("logentries-token", Text)],
    ),
    (
        "splunk",
        true,
        &[
            ("splunk-caname", Text),
            ("splunk-capath", Text),
            ("splunk-format", Word(&["inline", "json", "raw"])),
            ("splunk-gzip", Switch),
            ("splunk-gzip-level", Number(-1, 9)),
            ("splunk-index", Text),
            ("splunk-index-acknowledgment", Switch),
            ("splunk-insecureskipverify", Switch),
            ("splunk-source", Text),
            ("splunk-sourcetype", Text),
            ("splunk-token", Text),
            ("splunk-url", Text),
            ("splunk-verify-connection", Switch),
        ],
    ),
    (
        "syslog",
        true,
        &[
            (
                "syslog-address",
                Address(&["tcp", "tcp+tls", "udp", "unix", "unixgram"]),
            ),
            ("syslog-facility", Text),
            (
                "syslog-format",
                Word(&["rfc3164", "rfc5424", "rfc5424micro"]),
            ),
            ("syslog-tls-ca-cert", Text),
            ("syslog-tls-cert", Text),
            ("syslog-tls-key", Text),
            ("syslog-tls-skip-verify", Text),
        ],
    ),
];

/// The engine that an option came with, where it is not as old as its driver.
pub(super) const SINCE: &[(&str, Release)] = &[
    ("cache-compress", (20, 10)),
    ("cache-disabled", (20, 10)),
    ("cache-max-file", (20, 10)),
    ("cache-max-size", (20, 10)),
    ("compress", (18, 6)),
    ("labels-regex", (20, 10)),
];
