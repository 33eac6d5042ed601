//! Two load balancers and two pools of two hosts each, of which blue serves.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use super::balancer::{self, Balancer, program};
use super::service::{self, Service};
use crate::cli::Ended;
use crate::run::Site;
use crate::sshd::Sshd;

pub(crate) const BLUE: [&str; 2] = ["blue1", "blue2"];
pub(crate) const GREEN: [&str; 2] = ["green1", "green2"];

const BALANCERS: [(&str, &str); 2] = [("lb1", "127.0.8.1"), ("lb2", "127.0.8.2")];
const HOSTS: [(&str, &str); 4] = [
    ("blue1", "127.0.8.11"),
    ("blue2", "127.0.8.12"),
    ("green1", "127.0.8.21"),
    ("green2", "127.0.8.22"),
];

/// Stand for real ones: the gate finds something declared on the hosts, the deployment makes
/// something there.
const GATE: &str = "- hosts: all
  tasks:
    - name: The host is standard
      copy: { content: \"yes\\n\", dest: \"{{ site }}/standard-{{ inventory_hostname }}\" }
";
const DEPLOY: &str = "- hosts: all
  tasks:
    - name: The version that is to run
      copy: { content: \"2\\n\", dest: \"{{ site }}/version-{{ inventory_hostname }}\" }
";

/// What `fleet swap` reads, in a hurry, beside what it is to do.
const SWAP: &str = r#"
service: shop
load_balancers:
  hosts: balancers
  socket: "{{ haproxy_socket }}"
  backends: [shop]
  server_state_file: "{{ haproxy_server_state }}"
health:
  path: /healthz
  successes: 2
  interval: 50ms
  timeout: 500ms
  deadline: 3s
"#;

pub(crate) struct World {
    pub(crate) balancers: Vec<Balancer>,
    services: Vec<Service>,
    /// Of the pools' hosts, where a test needs to come to them.
    hosts: Vec<Sshd>,
    site: Site,
}

impl World {
    /// Load balancers that fleet can come to, and services.
    pub(crate) fn new() -> Self {
        Self::with_hosts(&[])
    }

    /// One where fleet can come to the hosts of the pools, too: a swap with `more` has a gate,
    /// which all hosts pass, and a deployment.
    pub(crate) fn with_gate_and_deploy(more: &str) -> Self {
        let world = Self::with_hosts(&HOSTS);
        world.write("gate.yml", GATE);
        world.write("deploy.yml", DEPLOY);
        let site = format!("site: {}\n", world.path("").display());
        world.write("inventory/group_vars/all.yml", &site);
        for (host, _) in HOSTS {
            world.write(&format!("standard-{host}"), "yes\n");
        }
        world.swap_file(&format!("gate: gate.yml\ndeploy: deploy.yml\n{more}"));
        world
    }

    /// One where all hosts serve, and fleet can come to them.
    pub(crate) fn with_all_serving() -> Self {
        let world = Self::with(&HOSTS, true);
        let site = format!("site: {}\n", world.path("").display());
        world.write("inventory/group_vars/all.yml", &site);
        world
    }

    fn with_hosts(reachable: &[(&str, &str)]) -> Self {
        Self::with(reachable, false)
    }

    fn with(reachable: &[(&str, &str)], green_serves: bool) -> Self {
        let site = Site::with_inventory("all: {}\n");
        let here = site.path("");
        let (services, service_port) = service::start(&HOSTS);
        let (balancers, hosts) = thread::scope(|scope| {
            let balancers = BALANCERS.map(|(name, address)| {
                let directory = here.join(name);
                scope.spawn(move || Balancer::new(name, address, directory))
            });
            let hosts: Vec<_> = reachable
                .iter()
                .map(|(name, address)| {
                    let state = here.join(name).join("fleet");
                    let state = format!("SetEnv FLEET_STATE_DIR={}", state.display());
                    scope.spawn(move || Sshd::at(address, &state))
                })
                .collect();
            (
                balancers
                    .map(|one| one.join().unwrap())
                    .into_iter()
                    .collect(),
                hosts.into_iter().map(|one| one.join().unwrap()).collect(),
            )
        });
        let mut world = Self {
            balancers,
            services,
            hosts,
            site,
        };
        // Whatever is in the directories above, this is a project of its own.
        world.write("fleet.yml", "{}\n");
        world.write_inventory(service_port, green_serves);
        world.configure();
        thread::scope(|scope| {
            for balancer in &mut world.balancers {
                scope.spawn(|| balancer.start());
            }
        });
        for balancer in &world.balancers {
            // Called up by a check, not only for want of one.
            let serving = if green_serves { 4 } else { 2 };
            balancer.eventually("finds all healthy that serve", |balancer| {
                let checked = balancer.say("show stat").unwrap_or_default();
                checked.matches(",L7OK,").count() == serving
            });
        }
        world
    }

    fn write_inventory(&self, service_port: u16, green_serves: bool) {
        let mut text = format!(
            "all:\n  vars:\n    haproxy_server_options: inter 100ms fall 2 rise 2\n    \
             haproxy_backends: [{{name: shop, pools: [{{group: blue, port: {service_port}}}, \
             {{group: green, port: {service_port}, idle: {}}}]}}]\n  children:\n    \
             balancers:\n      hosts:\n",
            !green_serves,
        );
        for balancer in &self.balancers {
            let _ = writeln!(text, "        {}", balancer.inventory_entry());
        }
        for pool in ["blue", "green"] {
            let _ = writeln!(text, "    {pool}:\n      hosts:");
            for (number, (name, address)) in HOSTS.iter().enumerate() {
                let login = self.hosts.get(number).map_or(String::new(), |sshd| {
                    format!(
                        ", ansible_port: {}, ansible_ssh_private_key_file: {}",
                        sshd.port(),
                        sshd.path("user_key").display()
                    )
                });
                if name.starts_with(pool) {
                    let _ = writeln!(text, "        {name}: {{ansible_host: {address}{login}}}");
                }
            }
        }
        self.write("inventory/hosts.yml", &text);
        let known: String = self
            .balancers
            .iter()
            .map(|balancer| &balancer.sshd)
            .chain(&self.hosts)
            .map(|sshd| fs::read_to_string(sshd.path("known_hosts")).unwrap())
            .collect();
        self.write("known_hosts", &known);
        let sshd = &self.balancers[0].sshd;
        let known_hosts = self.path("known_hosts");
        let options = sshd.client_configuration(&known_hosts.to_string_lossy());
        self.write("ssh_config", &options);
    }

    /// Applies what the role says about HAProxy's files, on both load balancers.
    pub(crate) fn configure(&self) {
        balancer::write_playbook(&self.path(""));
        let ended = self.fleet(&["apply", "balancers.yml", "--yes"]);
        assert_eq!(ended.code, 0, "{}", ended.all());
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.site.path(path)
    }

    /// Puts a file where fleet is started.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs fleet to its end.
    pub(crate) fn fleet(&self, args: &[&str]) -> Ended {
        self.site.end_of(self.start(args))
    }

    /// Runs fleet to its end, where it reaches nobody.
    pub(crate) fn ask(&self, args: &[&str]) -> Ended {
        let child = self.site.command_of(fleet(), args).spawn().unwrap();
        self.site.end_of(child)
    }

    /// Starts fleet.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let ssh_config = self.path("ssh_config").display().to_string();
        let args = [args, &["--ssh-config", &ssh_config]].concat();
        self.site.command_of(fleet(), &args).spawn().unwrap()
    }

    pub(crate) fn end_of(&self, child: Child) -> Ended {
        self.site.end_of(child)
    }

    pub(crate) fn service(&self, name: &str) -> &Service {
        let found = self.services.iter().find(|service| service.name == name);
        found.unwrap_or_else(|| panic!("no service {name}"))
    }

    /// How many slow requests wait for their answer.
    pub(crate) fn slow_waiting(&self) -> usize {
        self.services.iter().map(Service::slow_waiting).sum()
    }

    /// Answers all slow requests.
    pub(crate) fn answer_slow(&self) {
        for service in &self.services {
            service.answer_slow();
        }
    }

    /// Writes `swap.yml`, with more fields.
    pub(crate) fn swap_file(&self, more: &str) {
        let pools = "pools: { blue: blue, green: green }\n";
        self.write("swap.yml", &format!("{SWAP}{pools}{more}"));
    }

    /// Writes a `swap.yml` that replaces all hosts by `deploy.yml`, with more fields of `replace`
    /// and of the file.
    pub(crate) fn replace_file(&self, replace: &str, more: &str) {
        let fields = format!("hosts: \"blue:green\", playbook: deploy.yml{replace}");
        self.write(
            "swap.yml",
            &format!("{SWAP}replace: {{ {fields} }}\n{more}"),
        );
    }

    pub(crate) fn start_swap(&self, args: &[&str]) -> Child {
        let only_looks = args.contains(&"--plan") || args.contains(&"--status");
        let unasked: &[_] = if only_looks { &[] } else { &["--yes"] };
        self.start(&[&["swap", "swap.yml"], args, unasked].concat())
    }

    pub(crate) fn swap(&self, args: &[&str]) -> Ended {
        self.end_of(self.start_swap(args))
    }

    /// The report of a swap that ends with this code.
    pub(crate) fn json(&self, args: &[&str], code: i32) -> serde_json::Value {
        let ended = self
            .swap(&[&["--format", "json"], args].concat())
            .exits(code);
        serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", ended.all()))
    }

    /// Exactly these servers are in service, on every load balancer.
    #[track_caller]
    pub(crate) fn serves(&self, servers: &[&str]) {
        for balancer in &self.balancers {
            assert_eq!(balancer.in_service(), servers, "{}", balancer.name);
        }
    }
}

/// fleet with a helper without symbols, which make most of it here: every run of a swap brings,
/// hashes and starts it on several hosts.
fn fleet() -> &'static Path {
    static FLEET: OnceLock<PathBuf> = OnceLock::new();
    FLEET.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("swap");
        fs::create_dir_all(&directory).unwrap();
        // Renamed when it is whole, as another run may do the same.
        let draft = tempfile::tempdir_in(&directory).unwrap();
        let [fleet, helper] = ["fleet", "fleet-helper"].map(|name| draft.path().join(name));
        fs::hard_link(env!("CARGO_BIN_EXE_fleet"), &fleet).unwrap();
        let stripped = program("strip")
            .arg("-o")
            .arg(&helper)
            .arg(env!("CARGO_BIN_EXE_fleet-helper"))
            .status()
            .expect("these tests need strip: `apt-get install binutils`");
        assert!(stripped.success());
        for draft in [fleet, helper] {
            fs::rename(&draft, directory.join(draft.file_name().unwrap())).unwrap();
        }
        directory.join("fleet")
    })
}

/// Waits, not for long, until something holds.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        thread::sleep(Duration::from_millis(10));
    }
}
