//! The flags of a dockerd: taken apart, compared, and judged by who gave them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::keys::{KEYS, Key, Takes};
use super::unit::{self, Layer};
use super::version::Release;

/// One flag, however it is written.
#[derive(Clone, Debug)]
pub(super) struct Flag {
    /// The long name, without dashes.
    pub(super) name: String,
    /// `None` for a switch that is only named.
    pub(super) value: Option<String>,
    /// As it is written.
    pub(super) words: Vec<String>,
}

/// By what it means: `-H fd://` is `--host=fd://`.
impl PartialEq for Flag {
    fn eq(&self, other: &Self) -> bool {
        let value = |flag: &Self| match flag.value.as_deref() {
            None => "true".to_owned(),
            Some(value) => value.to_owned(),
        };
        self.name == other.name && value(self) == value(other)
    }
}

impl Flag {
    fn new(name: &str, value: Option<&str>, word: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            words: vec![word.to_owned()],
        }
    }

    /// As it is written.
    pub(super) fn written(&self) -> String {
        self.words.join(" ")
    }
}

/// The flags in the words after the program.
pub(super) fn parse(words: &[String]) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    for word in words {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            flags.push(Flag::new(name, value, word));
        } else if let Some(short) = word.strip_prefix('-')
            && let Some(letter) = short.chars().next()
        {
            let key = KEYS.iter().find(|key| key.letter == Some(letter));
            let rest = &short[letter.len_utf8()..];
            let rest = rest.strip_prefix('=').unwrap_or(rest);
            let value = Some(rest).filter(|rest| !rest.is_empty());
            match key {
                Some(key) => flags.push(Flag::new(key.flag, value, word)),
                None => flags.push(Flag::new(&letter.to_string(), value, word)),
            }
        } else if let Some(last) = flags.last_mut() {
            last.words.push(word.clone());
            // A switch takes no word; what is behind it belongs to nobody.
            if last.value.is_none() && !is_switch(&last.name) {
                last.value = Some(word.clone());
            }
        }
    }
    flags
}

fn is_switch(name: &str) -> bool {
    KEYS.iter()
        .any(|key| key.flag == name && key.takes == Takes::Bool)
}

/// What flags say about a setting, as `daemon.json` would; `None` if they say nothing about it, or
/// nothing that shows.
pub(super) fn setting(flags: &[Flag], key: &Key) -> Option<Value> {
    let own: Vec<_> = flags.iter().filter(|flag| flag.name == key.flag).collect();
    let last = own.last()?;
    let text = last.value.as_deref();
    match key.takes {
        Takes::Bool => Some(Value::Bool(!matches!(
            text,
            Some("false" | "0" | "f" | "F" | "False" | "FALSE")
        ))),
        Takes::Integer | Takes::Count => Some(Value::from(text?.parse::<i64>().ok()?)),
        Takes::Text
        | Takes::Size
        | Takes::HostAndPort
        | Takes::Word(_)
        | Takes::Address
        | Takes::Network4
        | Takes::Network6 => Some(Value::from(text?)),
        Takes::Texts
        | Takes::Addresses
        | Takes::Pairs
        | Takes::Mirrors
        | Takes::Registries
        | Takes::Listeners => {
            let values = own.iter().filter_map(|flag| flag.value.as_deref());
            Some(values.map(Value::from).collect())
        }
        _ => None,
    }
}

/// The flags that one of two command lines has and the other has not, in words; `None` if they mean
/// the same.
pub(super) fn difference(running: &[String], wanted: &[String]) -> Option<String> {
    let (running, wanted) = (parse(running), parse(wanted));
    let missing = |from: &[Flag], of: &[Flag]| -> Vec<String> {
        let missing = of.iter().filter(|flag| !from.contains(flag));
        missing.map(Flag::written).collect()
    };
    let mut words = Vec::new();
    let more = missing(&wanted, &running);
    if !more.is_empty() {
        words.push(format!("with {}", more.join(" ")));
    }
    let less = missing(&running, &wanted);
    if !less.is_empty() {
        words.push(format!("without {}", less.join(" ")));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

/// What the packages' own units say: no setting of anybody's. Docker Inc. and Debian.
const STOCK: [(&str, &str); 8] = [
    ("host", "fd://"),
    ("host", "unix://"),
    ("host", "unix:///run/docker.sock"),
    ("host", "unix:///var/run/docker.sock"),
    ("containerd", "/run/containerd/containerd.sock"),
    ("containerd", "/var/run/containerd/containerd.sock"),
    ("pidfile", "/var/run/docker.pid"),
    ("config-file", "/etc/docker/daemon.json"),
];

/// The same of Red Hat's engine, which is a 1.13.
const STOCK_OF_RED_HAT: [(&str, &str); 10] = [
    (
        "add-runtime",
        "docker-runc=/usr/libexec/docker/docker-runc-current",
    ),
    ("authorization-plugin", "rhel-push-plugin"),
    ("default-runtime", "docker-runc"),
    ("exec-opt", "native.cgroupdriver=systemd"),
    ("init-path", "/usr/libexec/docker/docker-init-current"),
    ("log-driver", "journald"),
    ("seccomp-profile", "/etc/docker/seccomp.json"),
    ("selinux-enabled", "true"),
    ("signature-verification", "false"),
    (
        "userland-proxy-path",
        "/usr/libexec/docker/docker-proxy-current",
    ),
];

fn is_stock(flag: &Flag, release: Release) -> bool {
    let value = flag.value.as_deref().unwrap_or("true");
    let is_in = |stock: &[(&str, &str)]| stock.contains(&(flag.name.as_str(), value));
    is_in(&STOCK) || release == (1, 13) && is_in(&STOCK_OF_RED_HAT)
}

/// A flag of the unit that nobody declared and no package brings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Undeclared {
    pub(super) flag: Flag,
    /// The file that says it.
    pub(super) path: PathBuf,
}

/// The flags that dockerd would get from files of the unit that are not declared. `read` gives the
/// text of a file of variables, `read_declared` only that of one that is declared.
pub(super) fn undeclared(
    layers: &[Layer],
    release: Release,
    read: impl Fn(&str) -> Option<String>,
    read_declared: impl Fn(&str) -> Option<String>,
) -> Vec<Undeclared> {
    let texts = |wanted: fn(&Layer, usize) -> bool| {
        let wanted = layers
            .iter()
            .enumerate()
            .filter(move |(index, layer)| wanted(layer, *index));
        wanted.map(|(_, layer)| layer.text.as_str())
    };
    let all = unit::effective(texts(|_, _| true), &read);
    let own = unit::effective(texts(|layer, _| layer.is_declared), &read_declared).flags();
    // What a declared variable makes of the words of the unit itself.
    let filled = texts(|layer, index| index == 0 || layer.is_declared);
    let filled = unit::effective(filled, &read_declared).flags();
    let bare = unit::effective(texts(|_, index| index == 0), |_| None).flags();

    let is_declared =
        |flag: &Flag| own.contains(flag) || (filled.contains(flag) && !bare.contains(flag));
    let found = all.flags().into_iter();
    found
        .filter(|flag| !is_stock(flag, release) && !is_declared(flag))
        .map(|flag| {
            let files = &all.environment_files;
            let path = says(&flag, layers, files, &read).unwrap_or_default();
            Undeclared { flag, path }
        })
        .collect()
}

/// The file that has the flag's words; the last one, which is the one that counts.
fn says(
    flag: &Flag,
    layers: &[Layer],
    files: &[PathBuf],
    read: impl Fn(&str) -> Option<String>,
) -> Option<PathBuf> {
    let word = flag.words.first()?;
    let in_unit = |layer: &&Layer| !layer.is_declared && layer.text.contains(word.as_str());
    let layer = layers.iter().rev().find(in_unit);
    let in_file = |path: &&PathBuf| {
        let text = path.to_str().and_then(&read);
        text.is_some_and(|text| text.contains(word.as_str()))
    };
    layer
        .map(|layer| layer.path.clone())
        .or_else(|| files.iter().rev().find(in_file).cloned())
        .or_else(|| layers.first().map(|layer| layer.path.clone()))
}

/// Where the packages put the unit; one in /etc or /run takes its place as a whole.
const PACKAGED: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];

/// The package's unit, and the one in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HiddenUnit {
    pub(super) packaged: PathBuf,
    pub(super) by: PathBuf,
}

/// The package's unit that `fragment` hides, if it hides one.
pub(super) fn hidden_unit(fragment: &Path, exists: impl Fn(&Path) -> bool) -> Option<HiddenUnit> {
    let name = fragment.file_name()?;
    let is_packaged = PACKAGED.iter().any(|folder| fragment.starts_with(folder));
    if is_packaged {
        return None;
    }
    let mut packaged = PACKAGED.iter().map(|folder| Path::new(folder).join(name));
    Some(HiddenUnit {
        packaged: packaged.find(|path| exists(path))?,
        by: fragment.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn layer(path: &str, text: &str, is_declared: bool) -> Layer {
        Layer {
            path: path.into(),
            text: text.to_owned(),
            is_declared,
        }
    }

    const PACKAGED_UNIT: &str = "[Service]\nEnvironmentFile=-/etc/sysconfig/docker\n\
        ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $OPTIONS\n";

    fn found(layers: &[Layer], file: Option<&str>, file_is_declared: bool) -> Vec<String> {
        let read = |_: &str| file.map(str::to_owned);
        let read_declared = |path: &str| file_is_declared.then(|| read(path)).flatten();
        undeclared(layers, (20, 10), read, read_declared)
            .into_iter()
            .map(|found| format!("{} by {}", found.flag.written(), found.path.display()))
            .collect()
    }

    #[test]
    fn a_flag_means_the_same_however_it_is_written() {
        for (one, other) in [
            ("-H fd://", "--host=fd://"),
            ("-Hfd://", "--host fd://"),
            ("-D", "--debug=true"),
            ("--debug", "-D"),
            ("-l debug", "--log-level=debug"),
        ] {
            assert_eq!(difference(&words(one), &words(other)), None, "{one}");
        }
        assert_eq!(
            difference(&words("-H fd:// --debug"), &words("-H fd:// --icc=false")).unwrap(),
            "with --debug, without --icc=false"
        );
    }

    #[test]
    fn flags_are_settings_in_other_words() {
        let flags = parse(&words(
            "--label a=1 --debug=false -s overlay2 --live-restore --label=b=2 --mtu 1400",
        ));
        let setting = |name: &str| setting(&flags, keys::find(name).unwrap());
        assert_eq!(setting("labels"), Some(serde_json::json!(["a=1", "b=2"])));
        assert_eq!(setting("debug"), Some(Value::Bool(false)));
        assert_eq!(setting("live-restore"), Some(Value::Bool(true)));
        assert_eq!(setting("storage-driver"), Some(Value::from("overlay2")));
        assert_eq!(setting("mtu"), Some(Value::from(1400)));
        assert_eq!(setting("bip"), None);
    }

    #[test]
    fn what_the_package_brings_is_nobody_s_setting() {
        let unit = layer(
            "/usr/lib/systemd/system/docker.service",
            PACKAGED_UNIT,
            false,
        );
        assert_eq!(found(&[unit], None, false), [""; 0]);
        let red_hat = "[Service]\nExecStart=/usr/bin/dockerd-current \
            --default-runtime=docker-runc --exec-opt native.cgroupdriver=systemd\n";
        let layers = [layer(
            "/usr/lib/systemd/system/docker.service",
            red_hat,
            false,
        )];
        assert_eq!(undeclared(&layers, (1, 13), |_| None, |_| None), []);
        assert_eq!(undeclared(&layers, (20, 10), |_| None, |_| None).len(), 2);
    }

    #[test]
    fn what_nobody_declared_is_found_with_the_file_that_says_it() {
        let unit = || {
            layer(
                "/usr/lib/systemd/system/docker.service",
                PACKAGED_UNIT,
                false,
            )
        };
        let open = "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// \
            -H tcp://0.0.0.0:2375 --insecure-registry old.example\n";
        let path = "/etc/systemd/system/docker.service.d/open.conf";
        assert_eq!(
            found(&[unit(), layer(path, open, false)], None, false),
            [
                format!("-H tcp://0.0.0.0:2375 by {path}"),
                format!("--insecure-registry old.example by {path}"),
            ]
        );
        assert_eq!(
            found(&[unit(), layer(path, open, true)], None, false),
            [""; 0]
        );
        // By a file of variables.
        let options = Some("OPTIONS='--debug'\n");
        assert_eq!(
            found(&[unit()], options, false),
            ["--debug by /etc/sysconfig/docker"]
        );
        assert_eq!(found(&[unit()], options, true), [""; 0]);
        // By a unit in the place of the package's, or by the package's own after somebody was at it.
        let whole = "[Service]\nExecStart=/usr/bin/dockerd -H fd:// --debug\n";
        for path in [
            "/etc/systemd/system/docker.service",
            "/usr/lib/systemd/system/docker.service",
        ] {
            assert_eq!(
                found(&[layer(path, whole, false)], None, false),
                [format!("--debug by {path}")]
            );
        }
        // A declared variable in the words of the package.
        let variable = "[Service]\nEnvironment=OPTIONS=--debug\n";
        assert_eq!(
            found(&[unit(), layer(path, variable, true)], None, false),
            [""; 0]
        );
    }

    #[test]
    fn a_unit_in_the_place_of_the_package_s_is_told() {
        let hidden = |fragment: &str, exists: bool| hidden_unit(fragment.as_ref(), |_| exists);
        assert_eq!(
            hidden("/etc/systemd/system/docker.service", true),
            Some(HiddenUnit {
                packaged: "/usr/lib/systemd/system/docker.service".into(),
                by: "/etc/systemd/system/docker.service".into(),
            })
        );
        assert_eq!(hidden("/etc/systemd/system/docker.service", false), None);
        assert_eq!(hidden("/usr/lib/systemd/system/docker.service", true), None);
        assert_eq!(hidden("", true), None);
    }
}
