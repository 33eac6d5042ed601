//! One load balancer: a real HAProxy with the configuration that the role `haproxy` makes, on an
//! address of its own, and the sshd by which fleet comes to it.

use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::sshd::{Sshd, free_port_at};

const HAPROXY: &str = "/usr/sbin/haproxy";
const ROLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/roles/haproxy");

/// The role's own files, put where a test may write.
const CONFIGURE: &str = r#"
- name: Configuration
  template: { src: haproxy.cfg, dest: "{{ here }}/haproxy.cfg", validate: haproxy -c -f %s }
- name: Program that keeps what was set at run time
  template: { src: haproxy-save-state, dest: "{{ here }}/haproxy-save-state" }
"#;

/// Makes `balancers.yml` in a project: what the role says about HAProxy's files, and nothing of its
/// packages and units.
pub(crate) fn write_playbook(project: &Path) {
    let role = project.join("roles/haproxy");
    if role.exists() {
        return;
    }
    fs::create_dir_all(role.join("tasks")).unwrap();
    for part in ["defaults", "vars", "templates"] {
        symlink(Path::new(ROLE).join(part), role.join(part)).unwrap();
    }
    fs::write(role.join("tasks/main.yml"), CONFIGURE).unwrap();
    let play = "- hosts: balancers\n  roles: [haproxy]\n";
    fs::write(project.join("balancers.yml"), play).unwrap();
}

pub(crate) struct Balancer {
    pub(crate) name: &'static str,
    pub(crate) address: &'static str,
    /// What clients talk to.
    pub(crate) port: u16,
    pub(crate) sshd: Sshd,
    directory: PathBuf,
    process: Option<Child>,
}

/// One server as HAProxy sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// `UP`, `DOWN`, `MAINT`, `DRAIN`, …
    pub(crate) status: String,
}

impl Server {
    /// Whether new requests are sent to it.
    pub(crate) fn in_service(&self) -> bool {
        self.status.starts_with("UP")
    }
}

impl Balancer {
    /// Everything but HAProxy itself, whose configuration is not there yet.
    pub(crate) fn new(name: &'static str, address: &'static str, directory: PathBuf) -> Self {
        assert!(
            Path::new(HAPROXY).exists(),
            "these tests need {HAPROXY}: `apt-get install haproxy`"
        );
        fs::create_dir_all(&directory).unwrap();
        let state = format!("SetEnv FLEET_STATE_DIR={}/fleet", directory.display());
        Self {
            name,
            address,
            port: free_port_at(address),
            sshd: Sshd::at(address, &state),
            directory,
            process: None,
        }
    }

    /// A file of this load balancer.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// It as a host of an inventory.
    pub(crate) fn inventory_entry(&self) -> String {
        let (name, address, port) = (self.name, self.address, self.port);
        let here = self.directory.display();
        format!(
            "{name}: {{ansible_host: {address}, ansible_port: {}, \
             ansible_ssh_private_key_file: {}, here: {here}, \
             haproxy_socket: {here}/admin.sock, haproxy_server_state: {here}/server-state, \
             haproxy_user: {}, haproxy_group: {}, haproxy_max_connections: 200, \
             haproxy_frontends: [{{name: shop, bind: [\"{address}:{port}\"], backend: shop}}]}}",
            self.sshd.port(),
            self.sshd.path("user_key").display(),
            own_name("-un"),
            own_name("-gn"),
        )
    }

    /// Starts HAProxy, as its unit does, and waits until it answers.
    pub(crate) fn start(&mut self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.say("show info").is_err() {
            let log = || fs::read_to_string(self.path("haproxy.log")).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "{} is silent: {}",
                self.name,
                log()
            );
            // It ends where somebody's connection has its port for the moment.
            let ended = |process: &mut Child| process.try_wait().unwrap().is_some();
            if self.process.as_mut().is_none_or(ended) {
                self.process = Some(self.spawn());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn spawn(&self) -> Child {
        let log = fs::File::create(self.path("haproxy.log")).unwrap();
        program(HAPROXY)
            .args(["-W", "-f"])
            .arg(self.path("haproxy.cfg"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Ends HAProxy at once, with every connection, as a host that loses power does.
    pub(crate) fn stop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let workers = self.workers();
        let _ = process.kill();
        let _ = process.wait();
        for worker in workers {
            let _ = kill_process(worker, Signal::KILL);
        }
    }

    /// Its sshd ends, and every connection to it.
    pub(crate) fn leave_the_network(&mut self) {
        self.sshd.stop();
    }

    /// Reloads HAProxy as the role's unit does: what was set at run time is written down first.
    pub(crate) fn reload(&self) {
        let saved = program("sh")
            .arg(self.path("haproxy-save-state"))
            .arg(self.path("haproxy.cfg"))
            .output()
            .unwrap();
        assert!(saved.status.success(), "{saved:?}");
        self.reload_without_saving();
    }

    /// Reloads HAProxy behind everybody's back, without what any file remembers.
    pub(crate) fn reload_forgetting_everything(&self) {
        // There may be none yet.
        let _ = fs::remove_file(self.path("server-state"));
        self.reload_without_saving();
    }

    /// Reloads HAProxy with what the file remembers as it is.
    pub(crate) fn reload_without_saving(&self) {
        let before = self.workers();
        let told = Cell::new(None::<Instant>);
        self.eventually("has reloaded", |balancer| {
            // On a busy machine a master was seen that never acted on the signal.
            if told
                .get()
                .is_none_or(|told| told.elapsed() > Duration::from_secs(5))
            {
                kill_process(balancer.master(), Signal::USR2).unwrap();
                told.set(Some(Instant::now()));
            }
            balancer
                .workers()
                .iter()
                .any(|worker| !before.contains(worker))
                && balancer
                    .answering_process()
                    .is_some_and(|id| !before.contains(&id))
        });
    }

    /// What HAProxy says to a command on its runtime socket.
    pub(crate) fn say(&self, command: &str) -> std::io::Result<String> {
        let mut socket = UnixStream::connect(self.path("admin.sock"))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        writeln!(socket, "{command}")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        if answer.is_empty() {
            // A process that has just handed over takes the connection and says nothing.
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    }

    /// Sets a server's state, as a human does.
    pub(crate) fn set(&self, server: &str, state: &str) {
        let answer = self
            .say(&format!("set server shop/{server} state {state}"))
            .unwrap();
        assert_eq!(answer.trim(), "");
    }

    /// All servers, in the order of the configuration.
    pub(crate) fn servers(&self) -> std::io::Result<Vec<Server>> {
        let answer = self.say("show stat")?;
        let rows = answer
            .lines()
            .map(|line| line.split(',').collect::<Vec<_>>());
        Ok(rows
            .filter(|row| {
                row.len() > 17 && row[0] == "shop" && !["FRONTEND", "BACKEND"].contains(&row[1])
            })
            .map(|row| Server {
                name: row[1].to_owned(),
                status: row[17].to_owned(),
            })
            .collect())
    }

    /// The names of the servers in service.
    pub(crate) fn in_service(&self) -> Vec<String> {
        let servers = self.servers().unwrap().into_iter();
        servers
            .filter(Server::in_service)
            .map(|server| server.name)
            .collect()
    }

    /// The status of one server.
    pub(crate) fn status(&self, server: &str) -> String {
        let servers = self.servers().unwrap();
        let found = servers.iter().find(|found| found.name == server);
        found
            .unwrap_or_else(|| panic!("no {server} in {servers:?}"))
            .status
            .clone()
    }

    pub(crate) fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !holds(self) {
            assert!(
                Instant::now() < deadline,
                "{} never {what}: {:?}\n{}",
                self.name,
                self.servers(),
                fs::read_to_string(self.path("haproxy.log")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn master(&self) -> Pid {
        let process = self.process.as_ref().expect("HAProxy runs");
        Pid::from_child(process)
    }

    /// The processes that serve, the one that hands over among them.
    fn workers(&self) -> Vec<Pid> {
        let Some(process) = &self.process else {
            return Vec::new();
        };
        let id = process.id();
        fs::read_to_string(format!("/proc/{id}/task/{id}/children"))
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|id| Pid::from_raw(id.parse().unwrap()))
            .collect()
    }

    fn answering_process(&self) -> Option<Pid> {
        let info = self.say("show info").ok()?;
        let line = info.lines().find_map(|line| line.strip_prefix("Pid: "))?;
        Pid::from_raw(line.parse().ok()?)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What `id` calls the user or group that runs the tests.
fn own_name(flag: &str) -> String {
    let output = program("id").arg(flag).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fixture, which outlives one command"
)]
pub(crate) fn program(name: &str) -> Command {
    Command::new(name)
}
