//! A private sshd on loopback: own port, keys and configuration, run as the current user, ended
//! with the test.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fleet::transport::{Options, Target};
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";

/// A running sshd and everything a client needs to log in.
pub(crate) struct Sshd {
    directory: TempDir,
    process: Child,
    address: String,
    port: u16,
}

impl Sshd {
    /// One with the defaults of a usual server.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// One with more lines in its `sshd_config`.
    pub(crate) fn with(configuration: &str) -> Self {
        Self::at("127.0.0.1", configuration)
    }

    /// One on an address of its own, as one host of several.
    pub(crate) fn at(address: &str, configuration: &str) -> Self {
        assert!(
            Path::new(SSHD).exists(),
            "these tests need {SSHD}: `apt-get install openssh-server`"
        );
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        for name in ["host_key", "user_key", "wrong_key"] {
            make_key(&directory.path().join(name));
        }
        fs::copy(path("user_key.pub"), path("authorized_keys")).unwrap();
        let port = free_port_at(address);
        let text = format!(
            "ListenAddress {address}:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPrintMotd no\n{configuration}\n",
            path("host_key"),
            path("authorized_keys"),
        );
        fs::write(path("sshd_config"), text).unwrap();
        let log = fs::File::create(path("sshd.log")).unwrap();
        let process = program(SSHD)
            .args(["-D", "-e", "-f", &path("sshd_config")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let sshd = Self {
            directory,
            process,
            address: address.to_owned(),
            port,
        };
        sshd.write_known_hosts(&sshd.public_key("host_key"));
        fs::write(
            sshd.path("ssh_config"),
            sshd.client_configuration("known_hosts"),
        )
        .unwrap();
        sshd.wait_until_it_listens();
        sshd
    }

    /// A file of this server.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The server as a host of an inventory.
    pub(crate) fn target(&self) -> Target {
        Target {
            name: "web01".to_owned(),
            host: self.address.clone(),
            port: Some(self.port),
            private_key_file: Some(self.path("user_key").display().to_string()),
            ..Target::default()
        }
    }

    /// Settings with the one `ssh_config` that knows this server.
    pub(crate) fn options(&self) -> Options {
        Options {
            ssh_config: Some(self.path("ssh_config")),
            helper_directory: Some(self.state().display().to_string()),
            connect_timeout: Duration::from_secs(5),
            start_timeout: Duration::from_secs(10),
            ..Options::default()
        }
    }

    /// Where this host keeps its helper.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// An `ssh_config` that trusts what `known_hosts` says and nothing of the user's own.
    pub(crate) fn client_configuration(&self, known_hosts: &str) -> String {
        format!(
            "UserKnownHostsFile {}\nGlobalKnownHostsFile /dev/null\nIdentityAgent none\n\
             UpdateHostKeys no\n",
            self.path(known_hosts).display()
        )
    }

    pub(crate) fn public_key(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap()
    }

    /// What clients believe this server's key to be.
    pub(crate) fn write_known_hosts(&self, key: &str) {
        let line = format!("[{}]:{} {key}", self.address, self.port);
        fs::write(self.path("known_hosts"), line).unwrap();
    }

    /// Ends every connection as a host that loses power does for a client: at once.
    pub(crate) fn cut_connections(&self) {
        for id in self.connections() {
            let id = rustix::process::Pid::from_raw(id).unwrap();
            // It may have ended by itself.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }

    /// Ends it, and every connection.
    pub(crate) fn stop(&mut self) {
        self.cut_connections();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// The processes that serve connections.
    fn connections(&self) -> Vec<i32> {
        let id = self.process.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect()
    }

    /// Whether nothing is left of any client: no connection here, no ssh on the way here.
    pub(crate) fn is_left_alone(&self) -> bool {
        let configuration = self.path("ssh_config").display().to_string();
        let clients = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
            fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&configuration))
        });
        self.connections().is_empty() && clients.count() == 0
    }

    fn wait_until_it_listens(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        // Its banner says that the probe is accepted, so that its end can be waited for.
        let greets = || {
            let mut probe = TcpStream::connect((self.address.as_str(), self.port))?;
            probe.read_exact(&mut [0; 4])
        };
        while greets().is_err() {
            let log = fs::read_to_string(self.path("sshd.log")).unwrap();
            assert!(Instant::now() < deadline, "sshd does not answer: {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
        // Otherwise the probe counts as an unauthenticated connection of the test.
        while !self.is_left_alone() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port of 127.0.0.1 that nothing listens on.
pub(crate) fn free_port() -> u16 {
    free_port_at("127.0.0.1")
}

/// A port of this address that nothing listens on.
pub(crate) fn free_port_at(address: &str) -> u16 {
    TcpListener::bind((address, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn make_key(path: &Path) {
    let status = program("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .status()
        .expect("these tests need ssh-keygen: `apt-get install openssh-client`");
    assert!(status.success());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fixture, which outlives one command"
)]
fn program(name: &str) -> Command {
    Command::new(name)
}
