//! What a running daemon says of itself (`docker info`, and of its bridge) against what it should
//! run with: what is declared, what its flags say, and for the rest what it does by itself.

use serde_json::{Map, Value};

use super::flags::{self, Flag};
use super::info::{insecure, root_directory, shows, sorted, stock_runtime, texts};
use super::keys::KEYS;
use super::unit::Effective;
use crate::host::{Failure, Host, docker};

#[cfg(test)]
mod tests;

/// Settings that show on the bridge.
const ON_BRIDGE: [&str; 3] = ["bip", "icc", "mtu"];

/// What the daemon tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// `docker info`.
    pub(super) info: Value,
    /// The network `bridge`; `None` without one.
    pub(super) bridge: Option<Value>,
}

impl Told {
    /// Asks the daemon for all that can be compared.
    pub(super) fn listen(host: &Host) -> Result<Self, Failure> {
        Ok(Self {
            info: docker::info(host)?,
            bridge: docker::bridge(host)?,
        })
    }
}

/// A setting that the running daemon has otherwise than it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Differing {
    pub(super) key: &'static str,
    /// What is declared; or what the daemon does where nothing is.
    pub(super) expected: String,
    pub(super) running: String,
}

/// Both sides of one setting in the same words.
type Sides = (String, String);

/// Settings that the running daemon has otherwise than by `config`, by its flags, or, where neither
/// says anything, by its own defaults.
///
/// Only what the daemon tells is compared. An empty text leaves the choice to the daemon, as does a
/// setting that is not there and whose default follows from the host.
pub(super) fn differing(
    config: &Map<String, Value>,
    effective: &Effective,
    told: &Told,
) -> Vec<Differing> {
    let flags = effective.flags();
    let compare = Compare {
        config,
        flags: &flags,
        effective,
        told,
    };
    let mut differing = Vec::new();
    let is_shown = |name: &str| shows(name) || ON_BRIDGE.contains(&name);
    for key in KEYS.iter().filter(|key| is_shown(key.name)) {
        let declared = config.get(key.name).filter(|value| **value != "");
        let said = declared.cloned().or_else(|| flags::setting(&flags, key));
        let sides = match &said {
            Some(said) => compare
                .said(key.name, said)
                .or_else(|| compare.on_bridge(key.name, said)),
            None => compare.by_default(key.name),
        };
        let Some((expected, running)) = sides.filter(|(one, other)| one != other) else {
            continue;
        };
        let expected = match said {
            Some(_) => expected,
            None if expected.is_empty() => "none (by default)".to_owned(),
            None => format!("{expected} (by default)"),
        };
        differing.push(Differing {
            key: key.name,
            expected,
            running,
        });
    }
    differing
}

struct Compare<'a> {
    config: &'a Map<String, Value>,
    flags: &'a [Flag],
    effective: &'a Effective,
    told: &'a Told,
}

impl Compare<'_> {
    fn text(&self, name: &str) -> Option<String> {
        self.told.info[name].as_str().map(str::to_owned)
    }

    fn flag(&self, name: &str) -> Option<String> {
        self.told.info[name]
            .as_bool()
            .map(|value| value.to_string())
    }

    /// A way in which the daemon confines containers: what is said of it behind its name.
    fn security(&self, name: &str) -> Option<String> {
        texts(&self.told.info["SecurityOptions"])
            .into_iter()
            .find_map(|option| {
                let option = option.strip_prefix("name=").unwrap_or(&option).to_owned();
                let (found, more) = option.split_once(',').unwrap_or((&option, ""));
                (found == name).then(|| more.to_owned())
            })
    }

    /// A setting that is declared or a flag; `None` if it does not show in `docker info`.
    fn said(&self, key: &str, said: &Value) -> Option<Sides> {
        let info = &self.told.info;
        let same_words = |name: &str| Some((said.as_str()?.to_owned(), self.text(name)?));
        let same_flag = |name: &str| Some((said.as_bool()?.to_string(), self.flag(name)?));
        match key {
            "storage-driver" => same_words("Driver"),
            "log-driver" => same_words("LoggingDriver"),
            "default-runtime" => same_words("DefaultRuntime"),
            "cluster-store" => same_words("ClusterStore"),
            "cluster-advertise" => same_words("ClusterAdvertise"),
            "live-restore" => same_flag("LiveRestoreEnabled"),
            "debug" => same_flag("Debug"),
            "experimental" => same_flag("ExperimentalBuild"),
            "data-root" | "graph" => {
                let root = said.as_str()?.trim_end_matches('/').to_owned();
                Some((root, root_directory(info)?))
            }
            "containerd" => Some((
                said.as_str()?.to_owned(),
                info["Containerd"]["Address"].as_str()?.to_owned(),
            )),
            "exec-opts" => {
                let driver = texts(said).into_iter().find_map(|option| {
                    Some(option.strip_prefix("native.cgroupdriver=")?.to_owned())
                });
                match driver {
                    Some(driver) => Some((driver, self.text("CgroupDriver")?)),
                    None => self.by_default(key),
                }
            }
            "firewall-backend" => Some((said.as_str()?.to_owned(), self.firewall()?)),
            "seccomp-profile" => {
                let profile = match said.as_str()? {
                    "builtin" | "default" => "default",
                    profile => profile,
                };
                Some((profile.to_owned(), self.seccomp()?))
            }
            "userns-remap" => Some(("on".to_owned(), self.user_namespaces()?)),
            // Where the kernel cannot, the daemon does without; only what it does too much is told.
            "selinux-enabled" | "no-new-privileges" if *said == false => self.by_default(key),
            "default-cgroupns-mode" if *said == "host" => self.cgroup_namespaces("host"),
            "proxies" => self.proxies(said),
            "storage-opts" => self.thin_pool(said),
            "labels"
            | "registry-mirrors"
            | "insecure-registries"
            | "allow-nondistributable-artifacts"
            | "authorization-plugins"
            | "cdi-spec-dirs"
            | "default-address-pools"
            | "runtimes" => self.lists(key, said),
            _ => None,
        }
    }

    /// A setting that nobody says anything about; `None` if what the daemon then does cannot be
    /// known, or does not show.
    fn by_default(&self, key: &str) -> Option<Sides> {
        let is = |default: &str, running: Option<String>| Some((default.to_owned(), running?));
        match key {
            "log-driver" => is("json-file", self.text("LoggingDriver")),
            "default-runtime" => is("runc", self.text("DefaultRuntime")),
            "live-restore" => is("false", self.flag("LiveRestoreEnabled")),
            "debug" => is("false", self.flag("Debug")),
            "experimental" => is("false", self.flag("ExperimentalBuild")),
            "cluster-store" => is("", self.text("ClusterStore")),
            "cluster-advertise" => is("", self.text("ClusterAdvertise")),
            // Its old name says it as well.
            "data-root" if self.is_said("graph") => None,
            "data-root" => is("/var/lib/docker", root_directory(&self.told.info)),
            "exec-opts" => {
                let default = match self.told.info["CgroupVersion"].as_str() {
                    Some("2") => "systemd",
                    _ => "cgroupfs",
                };
                is(default, self.text("CgroupDriver"))
            }
            "firewall-backend" => is("iptables", self.firewall()),
            "seccomp-profile" => is("default", self.seccomp()),
            "userns-remap" => is("off", self.user_namespaces()),
            "selinux-enabled" => self
                .security("selinux")
                .and(is("false", Some("true".into()))),
            "no-new-privileges" => {
                let on = self.security("no-new-privileges");
                on.and(is("false", Some("true".into())))
            }
            "default-cgroupns-mode" if self.told.info["CgroupVersion"] != "2" => {
                self.cgroup_namespaces("host")
            }
            "labels"
            | "registry-mirrors"
            | "insecure-registries"
            | "allow-nondistributable-artifacts"
            | "authorization-plugins"
            | "default-address-pools"
            | "node-generic-resources"
            | "runtimes" => self.lists(key, &Value::Null),
            "icc" => self.on_bridge(key, &Value::Bool(true)),
            "mtu" => self.on_bridge(key, &Value::from(1500)),
            _ => None,
        }
    }

    fn is_said(&self, key: &str) -> bool {
        self.config.contains_key(key) || self.flags.iter().any(|flag| flag.name == key)
    }

    fn firewall(&self) -> Option<String> {
        let driver = self.told.info["FirewallBackend"]["Driver"].as_str()?;
        Some(driver.split('+').next().unwrap_or(driver).to_owned())
    }

    /// The profile; `default` under each of its names.
    fn seccomp(&self) -> Option<String> {
        let more = self.security("seccomp")?;
        let profile = more.strip_prefix("profile=")?;
        Some(match profile {
            "builtin" => "default".to_owned(),
            profile => profile.to_owned(),
        })
    }

    fn user_namespaces(&self) -> Option<String> {
        self.told.info["SecurityOptions"].as_array()?;
        let is_on = self.security("userns").is_some();
        Some(if is_on { "on" } else { "off" }.to_owned())
    }

    fn cgroup_namespaces(&self, wanted: &str) -> Option<Sides> {
        self.security("cgroupns")?;
        Some((wanted.to_owned(), "private".to_owned()))
    }

    /// The proxies; what they ask for a login with is not told.
    fn proxies(&self, said: &Value) -> Option<Sides> {
        let info = &self.told.info;
        let shown = |proxies: [Option<&str>; 3]| {
            let proxies = proxies.map(|proxy| without_login(proxy.unwrap_or_default()));
            proxies.join(", ")
        };
        let names = ["http-proxy", "https-proxy", "no-proxy"];
        let of_environment = |name: &str| {
            let name = name.replace('-', "_");
            let variables = &self.effective.environment;
            let found = variables.get(&name.to_uppercase()).or(variables.get(&name));
            found.map(String::as_str)
        };
        let told = ["HttpProxy", "HttpsProxy", "NoProxy"].map(|name| info[name].as_str());
        told.iter().any(Option::is_some).then(|| {
            let wanted = names.map(|name| said[name].as_str().or_else(|| of_environment(name)));
            // What nobody here says may come from systemd's own environment.
            let told = std::array::from_fn(|index| wanted[index].and(told[index]));
            (shown(wanted), shown(told))
        })
    }

    fn thin_pool(&self, said: &Value) -> Option<Sides> {
        let pool = texts(said).into_iter().find_map(|option| {
            let device = option.strip_prefix("dm.thinpooldev=")?;
            let name = device.strip_prefix("/dev/mapper/").unwrap_or(device);
            Some(name.to_owned())
        })?;
        let status = self.told.info["DriverStatus"].as_array()?;
        let running = status.iter().find(|pair| pair[0] == "Pool Name")?;
        Some((pool, running[1].as_str()?.to_owned()))
    }

    /// A setting with several values, in any order.
    fn lists(&self, key: &str, said: &Value) -> Option<Sides> {
        let info = &self.told.info;
        let registries = &info["RegistryConfig"];
        Some(match key {
            "labels" => (sorted(texts(said)), sorted(told_texts(info, "Labels")?)),
            "cdi-spec-dirs" => {
                let running = told_texts(info, "CDISpecDirs")?;
                (sorted(texts(said)), sorted(running))
            }
            "authorization-plugins" => {
                let running = told_texts(&info["Plugins"], "Authorization")?;
                (sorted(texts(said)), sorted(running))
            }
            "registry-mirrors" => {
                // The first that has an image is taken, so their order matters.
                let mirrors = |list: Vec<String>| {
                    let mirrors = list.iter().map(|mirror| mirror.trim_end_matches('/'));
                    mirrors
                        .map(|mirror| format!("{mirror}/"))
                        .collect::<Vec<_>>()
                        .join(", ")
                };
                let running = told_texts(registries, "Mirrors")?;
                (mirrors(texts(said)), mirrors(running))
            }
            "insecure-registries" => (sorted(texts(said)), sorted(insecure(registries)?)),
            "allow-nondistributable-artifacts" => {
                let networks = told_texts(registries, "AllowNondistributableArtifactsCIDRs")?;
                let names = told_texts(registries, "AllowNondistributableArtifactsHostnames")?;
                (sorted(texts(said)), sorted([networks, names].concat()))
            }
            "node-generic-resources" => {
                let some = info.get("GenericResources")?.as_array();
                let count = some.map_or(0, Vec::len);
                (
                    String::new(),
                    if count == 0 {
                        String::new()
                    } else {
                        count.to_string()
                    },
                )
            }
            "default-address-pools" => {
                let pools = |list: &Value, base: &str, size: &str| {
                    let pools = list.as_array().into_iter().flatten();
                    let pools = pools.map(|pool| {
                        let base = pool[base].as_str().unwrap_or_default();
                        format!("{base} in /{}", pool[size])
                    });
                    sorted(pools.collect())
                };
                let running = &info["DefaultAddressPools"];
                // Engines before 20.10 do not tell.
                if running.is_null() && !said.is_null() {
                    return None;
                }
                (pools(said, "base", "size"), pools(running, "Base", "Size"))
            }
            "runtimes" => {
                let declared = said.as_object().into_iter().flat_map(Map::keys).cloned();
                let by_flag = self.flags.iter().filter(|flag| flag.name == "add-runtime");
                let by_flag = by_flag.filter_map(|flag| {
                    let (name, _) = flag.value.as_deref()?.split_once('=')?;
                    Some(name.to_owned())
                });
                let running = info["Runtimes"].as_object()?.keys().cloned();
                let others = |names: &mut dyn Iterator<Item = String>| {
                    sorted(names.filter(|name| !stock_runtime(name)).collect())
                };
                (
                    others(&mut declared.chain(by_flag)),
                    others(&mut running.into_iter()),
                )
            }
            _ => return None,
        })
    }

    /// A setting that shows on the bridge; `None` if this one does not.
    fn on_bridge(&self, key: &str, said: &Value) -> Option<Sides> {
        let bridge = self.told.bridge.as_ref()?;
        let option = |name: &str| bridge["Options"][name].as_str().map(str::to_owned);
        match key {
            "bip" => {
                let ipam = &bridge["IPAM"]["Config"][0];
                let (_, length) = ipam["Subnet"].as_str()?.split_once('/')?;
                let running = format!("{}/{length}", ipam["Gateway"].as_str()?);
                Some((said.as_str()?.to_owned(), running))
            }
            "icc" => {
                let running = option("com.docker.network.bridge.enable_icc")?;
                Some((said.as_bool()?.to_string(), running))
            }
            "mtu" => {
                let running = option("com.docker.network.driver.mtu")?;
                let declared = said.as_u64().filter(|bytes| *bytes > 0)?;
                Some((declared.to_string(), running))
            }
            _ => None,
        }
    }
}

/// A list that is told; an empty one may be told as nothing, but is told.
fn told_texts(of: &Value, name: &str) -> Option<Vec<String>> {
    of.get(name).map(texts)
}

/// A proxy without what logs in to it: the daemon does not tell that.
fn without_login(proxy: &str) -> String {
    match (proxy.split_once("://"), proxy.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => proxy.to_owned(),
    }
}
