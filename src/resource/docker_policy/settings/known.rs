//! The table of settings: how each is written, what it is by default, what the daemon tells of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Typed;
use crate::resource::docker_policy::finding::{text, words};

/// What is known of a setting beforehand.
pub(super) struct Known {
    /// In `daemon.json`.
    pub(super) key: &'static str,
    /// Without dashes.
    pub(super) flag: &'static str,
    pub(super) letter: Option<char>,
    /// What it is when nothing is said; its type is the setting's.
    pub(super) default: fn() -> Typed,
    /// What the running daemon says, if it does.
    pub(super) live: fn(&Live<'_>) -> Option<Typed>,
}

/// What the running daemon says: `/info` and `/networks/bridge` of its API.
pub(super) struct Live<'a> {
    pub(super) info: &'a Value,
    pub(super) bridge: &'a Value,
}

const OFF: fn() -> Typed = || Typed::Bool(false);
const ON: fn() -> Typed = || Typed::Bool(true);
const EMPTY: fn() -> Typed = || Typed::Text(String::new());
const NONE: fn() -> Typed = || Typed::Texts(Vec::new());
const NO_PAIRS: fn() -> Typed = || Typed::Pairs(BTreeMap::new());
const SILENT: fn(&Live<'_>) -> Option<Typed> = |_| None;

const fn known(
    key: &'static str,
    default: fn() -> Typed,
    live: fn(&Live<'_>) -> Option<Typed>,
) -> Known {
    Known {
        key,
        flag: key,
        letter: None,
        default,
        live,
    }
}

impl Known {
    const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = flag;
        self
    }

    const fn letter(mut self, letter: char) -> Self {
        self.letter = Some(letter);
        self
    }
}

pub(super) const KNOWN: &[Known] = &[
    known("authorization-plugins", NONE, |live| {
        texts(&live.info["Plugins"]["Authorization"])
    })
    .flag("authorization-plugin"),
    known("cgroup-parent", EMPTY, SILENT),
    known("debug", OFF, |live| bool(&live.info["Debug"])).letter('D'),
    known("default-ulimits", NO_PAIRS, SILENT).flag("default-ulimit"),
    known("experimental", OFF, |live| {
        bool(&live.info["ExperimentalBuild"])
    }),
    known("group", || Typed::Text("docker".to_owned()), SILENT).letter('G'),
    known("hosts", NONE, SILENT).flag("host").letter('H'),
    known("icc", ON, |live| {
        match text(&live.bridge["Options"]["com.docker.network.bridge.enable_icc"]) {
            "true" => Some(Typed::Bool(true)),
            "false" => Some(Typed::Bool(false)),
            _ => None,
        }
    }),
    known("insecure-registries", NONE, |live| {
        live.insecure_registries()
    })
    .flag("insecure-registry"),
    known("iptables", ON, SILENT),
    known("live-restore", OFF, |live| {
        bool(&live.info["LiveRestoreEnabled"])
    }),
    known(
        "log-driver",
        || Typed::Text("json-file".to_owned()),
        |live| non_empty(&live.info["LoggingDriver"]),
    ),
    known("log-level", || Typed::Text("info".to_owned()), SILENT).letter('l'),
    known("log-opts", NO_PAIRS, SILENT).flag("log-opt"),
    known("no-new-privileges", OFF, |live| {
        // Engines before 25 do not tell; so only "yes" is an answer.
        live.security("no-new-privileges")
            .map(|_| Typed::Bool(true))
    }),
    known("seccomp-profile", EMPTY, |live| {
        let options = live.info["SecurityOptions"].as_array()?;
        let seccomp = live.security("seccomp").map(|option| {
            let profile = option
                .split(',')
                .find_map(|part| part.strip_prefix("profile="));
            profile.unwrap_or("default").to_owned()
        });
        // A daemon that lists what it confines with, and not seccomp, does without.
        let without = || (!options.is_empty()).then(|| "unconfined".to_owned());
        seccomp.or_else(without).map(Typed::Text)
    }),
    known("storage-driver", EMPTY, |live| {
        non_empty(&live.info["Driver"])
    })
    .letter('s'),
    known("storage-opts", NONE, SILENT).flag("storage-opt"),
    known("tls", OFF, SILENT),
    known("tlscacert", EMPTY, SILENT),
    known("tlscert", EMPTY, SILENT),
    known("tlskey", EMPTY, SILENT),
    known("tlsverify", OFF, SILENT),
    known("userland-proxy", ON, SILENT),
    known("userns-remap", EMPTY, |live| {
        // It tells that users are mapped, not to whom; so only "no" is an answer.
        live.info["SecurityOptions"].as_array()?;
        live.security("userns")
            .is_none()
            .then(|| Typed::Text(String::new()))
    }),
];

impl Live<'_> {
    /// One of the ways in which the daemon confines containers.
    fn security(&self, name: &str) -> Option<&str> {
        words(&self.info["SecurityOptions"])
            .into_iter()
            .find(|option| {
                let option = option.strip_prefix("name=").unwrap_or(option);
                option.split(',').next() == Some(name)
            })
    }

    /// Without the host itself, which always is among them.
    fn insecure_registries(&self) -> Option<Typed> {
        let registries = &self.info["RegistryConfig"];
        let networks = registries["InsecureRegistryCIDRs"].is_array().then(|| {
            words(&registries["InsecureRegistryCIDRs"])
                .into_iter()
                .filter(|network| !["127.0.0.0/8", "::1/128"].contains(network))
        })?;
        let names = registries["IndexConfigs"].as_object().into_iter().flatten();
        let names = names
            .filter(|(_, index)| index["Secure"] == false)
            .map(|(name, _)| name.as_str());
        let mut all: Vec<_> = networks.chain(names).collect();
        all.sort_unstable();
        Some(owned(&all))
    }
}

fn owned(words: &[&str]) -> Typed {
    Typed::Texts(words.iter().map(|&word| word.to_owned()).collect())
}

fn bool(value: &Value) -> Option<Typed> {
    value.as_bool().map(Typed::Bool)
}

fn non_empty(value: &Value) -> Option<Typed> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    Some(Typed::Text(text.to_owned()))
}

fn texts(list: &Value) -> Option<Typed> {
    list.is_array().then(|| owned(&words(list)))
}
