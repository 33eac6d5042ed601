//! Two load balancers on this computer, as private sshds with a real HAProxy each; blue is one
//! machine and green another. Each machine stands for two hosts: two addresses, and a container
//! with a port of its own behind each.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::balancer::{self, Balancer};
use super::load;
use crate::machine::{Beside, Machine, Run, lab, state, succeed};
use crate::sshd::free_port_at;

pub(crate) const BLUE: [&str; 2] = ["blue1", "blue2"];
pub(crate) const GREEN: [&str; 2] = ["green1", "green2"];

const GREENS_MACHINE: &str = "node2";
const BALANCERS: [(&str, &str); 2] = [("lb1", "127.0.9.1"), ("lb2", "127.0.9.2")];
/// Host, machine, the host's address here, the container's port there.
const HOSTS: [(&str, &str, &str, u16); 4] = [
    ("blue1", Machine::NAME, "127.0.9.11", 8081),
    ("blue2", Machine::NAME, "127.0.9.12", 8082),
    ("green1", GREENS_MACHINE, "127.0.9.21", 8081),
    ("green2", GREENS_MACHINE, "127.0.9.22", 8082),
];

/// The service: a container of one of the two images, which says who answers. One with a defect
/// takes connections and has no healthy answer.
const SERVICE: &str = r#"
- name: Image
  docker_image:
    archive: "{{ lab_images['hello_' ~ version].archive.src }}"
    image_id: "{{ lab_images['hello_' ~ version].image_id }}"
- name: Container
  docker_container:
    name: "{{ inventory_hostname }}"
    image: "{{ lab_images['hello_' ~ version].image_id }}"
    command:
      - sh
      - -c
      - |
        mkdir /tmp/www
        printf '%s %s' {{ inventory_hostname }} "$(cat /www/index.html)" >/tmp/www/index.html
        {% if not defect %}cp /www/healthz /tmp/www/{% endif %}
        exec httpd -f -p 8080 -h /tmp/www
    ports: ["{{ port_there }}:8080"]
    memory: 32m
"#;

/// Engine and service, of the version that the host's pool has.
const STANDARD: &str = r#"
- hosts: blue:green
  become: true
  pre_tasks:
    - name: Engine
      rpm:
        packages: "{{ docker_engine_packages }}"
    - name: Engine runs
      service:
        name: docker
        state: started
        enabled: true
  roles:
    - role: service
      version: "{{ serving }}"
"#;

/// The release that `fleet swap` is told to bring.
const DEPLOY: &str = r#"
- hosts: blue:green
  become: true
  vars:
    spoiled: false
  roles:
    - role: service
      version: "{{ release }}"
      defect: "{{ spoiled }}"
"#;

const SWAP: &str = r#"
service: shop
load_balancers:
  hosts: balancers
  socket: "{{ haproxy_socket }}"
  backends: [shop]
  server_state_file: "{{ haproxy_server_state }}"
pools: { blue: blue, green: green }
gate: standard.yml
deploy: deploy.yml
health:
  from: [controller, load_balancers]
  path: /healthz
  body: ok
  interval: 200ms
  timeout: 5s
  deadline: 20s
"#;

pub(crate) struct World {
    pub(crate) balancers: Vec<Balancer>,
    pub(crate) green: Beside,
    machine: Machine,
    /// Where the hosts' services answer, on each host's address.
    port: u16,
}

impl World {
    /// Everything runs, both pools have version 1, and blue serves.
    pub(crate) fn new() -> Self {
        let machine = Machine::pristine();
        let green = Beside::up(GREENS_MACHINE);
        let balancers =
            BALANCERS.map(|(name, address)| Balancer::new(name, address, machine.path(name)));
        let mut world = Self {
            balancers: balancers.into(),
            green,
            port: free_port_at(HOSTS[0].2),
            machine,
        };
        world.write_inventory();
        world.pools_have("1", "1");
        balancer::write_playbook(&world.machine.path(""));
        for (name, text) in [
            // Whatever is in the directories above, this is a project of its own.
            ("fleet.yml", "{}\n"),
            ("roles/service/tasks/main.yml", SERVICE),
            ("roles/service/defaults/main.yml", "defect: false\n"),
            ("standard.yml", STANDARD),
            ("deploy.yml", DEPLOY),
            ("swap.yml", SWAP),
        ] {
            let _ = world.machine.write(name, text);
        }
        let _ = world.fleet("apply", "standard.yml", &["-y"]).exits(0);
        let _ = world.fleet("apply", "balancers.yml", &["-y"]).exits(0);
        for balancer in &mut world.balancers {
            balancer.start();
        }
        for balancer in &world.balancers {
            eventually("blue is found healthy", || {
                let checked = balancer.say("show stat").unwrap_or_default();
                checked.matches(",L7OK,").count() == 2
            });
        }
        world
    }

    /// Hosts with addresses and ports that lead to the machines, and the keys they answer with.
    fn write_inventory(&self) {
        let mut known = String::new();
        let mut pools = String::new();
        for (host, machine, address, port_there) in HOSTS {
            let ssh = free_port_at(address);
            for (port, there) in [(ssh, 22), (self.port, port_there)] {
                let here = format!("{address}:{port}");
                succeed(lab("forward").args([machine, &here, &there.to_string()]));
            }
            let directory = state().join(machine);
            let key = fs::read_to_string(directory.join("host_key")).unwrap();
            let (_, key) = key.split_once(' ').unwrap();
            write!(known, "[{address}]:{ssh} {key}").unwrap();
            let pool = host.trim_end_matches(char::is_numeric);
            if host.ends_with('1') {
                writeln!(pools, "    {pool}:\n      hosts:").unwrap();
            }
            writeln!(
                pools,
                "        {host}: {{ansible_host: {address}, ansible_port: {ssh}, \
                 ansible_user: root, port_there: {port_there}, \
                 ansible_ssh_private_key_file: {}}}",
                directory.join("id_ed25519").display()
            )
            .unwrap();
        }
        let mut hosts = String::new();
        for balancer in &self.balancers {
            known += &fs::read_to_string(balancer.sshd.path("known_hosts")).unwrap();
            writeln!(hosts, "        {}", balancer.inventory_entry()).unwrap();
        }
        let known = self.machine.write("known_hosts", &known);
        let port = self.port;
        // Machines under emulation are not down because they are slow.
        let text = format!(
            "all:
  vars:
    ansible_ssh_common_args: -o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes -o IdentityAgent=none
    haproxy_server_options: inter 1s fall 5 rise 2
    haproxy_backends:
      - name: shop
        pools: [{{group: blue, port: {port}}}, {{group: green, port: {port}, idle: true}}]
  children:
    balancers:
      hosts:
{hosts}{pools}"
        );
        let _ = self.machine.write("inventory/hosts.yml", &text);
    }

    /// Declares which version each pool has: what its hosts' standard is.
    pub(crate) fn pools_have(&self, blue: &str, green: &str) {
        for (pool, version) in [("blue", blue), ("green", green)] {
            let text = format!("serving: \"{version}\"\n");
            let file = format!("inventory/group_vars/{pool}.yml");
            let _ = self.machine.write(&file, &text);
        }
    }

    /// Starts fleet with a file of the project, and leaves it running.
    pub(crate) fn start(&self, verb: &str, file: &str, more: &[&str]) -> Child {
        let [file, inventory] = [file, "inventory"].map(|name| self.machine.path(name));
        let [file, inventory] = [&file, &inventory].map(|path| path.to_str().unwrap());
        let arguments = [&[verb, file, "-i", inventory], more].concat();
        self.machine.start(&arguments)
    }

    /// Runs fleet with a file of the project.
    pub(crate) fn fleet(&self, verb: &str, file: &str, more: &[&str]) -> Run {
        let output = self.start(verb, file, more).wait_with_output();
        Run::of(&[&[verb, file], more].concat(), output.unwrap())
    }

    /// Starts a swap to a pool, which gets what these variables say.
    pub(crate) fn start_swap(&self, pool: &str, variables: &str) -> Child {
        let json = ["--to", pool, "-e", variables, "-y", "--format", "json"];
        self.start("swap", "swap.yml", &json)
    }

    /// The report of a swap that ends with this code.
    pub(crate) fn end_of_swap(swap: Child, code: i32) -> Value {
        let run = Run::of(&["swap"], swap.wait_with_output().unwrap());
        let report = run.exits(code).json();
        for step in report["steps"].as_array().unwrap() {
            let seconds = step["duration_ms"].as_f64().unwrap() / 1000.0;
            let [status, text] = ["status", "text"].map(|key| step[key].as_str().unwrap());
            println!("{seconds:5.1} s  {status}: {text}");
        }
        report
    }

    /// Both at once.
    pub(crate) fn swap(&self, pool: &str, variables: &str, code: i32) -> Value {
        Self::end_of_swap(self.start_swap(pool, variables), code)
    }

    /// Exactly these servers are in service, on every load balancer.
    #[track_caller]
    pub(crate) fn serves(&self, servers: &[&str]) {
        for balancer in &self.balancers {
            assert_eq!(balancer.in_service(), servers, "{}", balancer.name);
        }
    }

    /// All the answers that somebody gets who now asks the load balancers.
    pub(crate) fn answers(&self) -> BTreeSet<String> {
        let mut answers = BTreeSet::new();
        for balancer in &self.balancers {
            for _ in 0..4 {
                let target = (balancer.address, balancer.port);
                answers.insert(load::ask(&mut None, target).unwrap());
            }
        }
        answers
    }
}

/// Waits, as long as emulated machines may take, until something holds.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(5);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within 5 minutes");
        thread::sleep(Duration::from_millis(50));
    }
}
