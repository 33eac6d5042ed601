//! Connections that are lost in the middle of a step.

use rustix::process::{Pid, Signal, kill_process};

use super::{Site, eventually};
use crate::sshd::Sshd;

const STEP: &str = r#"
    - name: step
      shell: "echo begun >> {{ here }}/log; sleep 2; echo said; echo ended >> {{ here }}/log"
      register: step
    - copy: {content: "{{ step.stdout }}", dest: "{{ here }}/after"}
      notify: handler
  handlers:
    - name: handler
      shell: "echo handler >> {{ here }}/log"
"#;

struct Remote {
    sshd: Sshd,
    site: Site,
}

impl Remote {
    fn new() -> Self {
        let sshd = Sshd::start();
        let site = Site::with_inventory(&format!(
            "all:\n  hosts:\n    node1: {{ansible_host: 127.0.0.1, ansible_port: {}, \
             ansible_ssh_private_key_file: {}}}\n",
            sshd.port(),
            sshd.path("user_key").display()
        ))
        .tasks(STEP);
        Self { sshd, site }
    }

    fn ssh_config(&self) -> String {
        self.sshd.path("ssh_config").display().to_string()
    }

    /// An apply in the middle of its first step.
    fn in_the_step(&self) -> std::process::Child {
        // As `Site::play` has it: another text would be another task.
        let here = format!("here={}", self.site.path("log").parent().unwrap().display());
        let ssh_config = self.ssh_config();
        let arguments = ["apply", "play.yml", "--yes", "-e", &here, "--ssh-config"];
        let child = self.site.start(&[&arguments[..], &[&ssh_config]].concat());
        eventually("the step begins", || self.site.path("log").exists());
        child
    }

    /// The step is over, nothing after it was begun; the next apply goes on from there.
    fn goes_on(&self) {
        let site = &self.site;
        eventually("the step ends", || site.read("log") == "begun\nended\n");
        let (document, code) = site.json("apply", &["--ssh-config", &self.ssh_config()]);
        assert_eq!(code, 0, "{document:#}");
        assert_eq!(site.read("log"), "begun\nended\nhandler\n");
        assert_eq!(site.read("after"), "said");
        let step = &document["hosts"][0]["resources"][0];
        assert_eq!(step["status"], "changed", "{document:#}");
        let message = step["message"].as_str().unwrap();
        assert!(
            message.starts_with("ran to its end ")
                && message.ends_with("when the connection was lost; it was not run again"),
            "{message}"
        );
        let (_, code) = site.json("apply", &["--ssh-config", &self.ssh_config()]);
        assert_eq!(code, 0);
        assert_eq!(site.read("log"), "begun\nended\nhandler\nbegun\nended\n");
    }
}

#[test]
fn a_step_that_outlives_its_connection_is_not_run_again() {
    let remote = Remote::new();
    let child = remote.in_the_step();
    remote.sshd.cut_connections();
    let ended = remote.site.end_of(child);
    assert_eq!(ended.code, 4, "{}", ended.all());
    assert!(
        ended
            .stdout
            .contains("the next apply reads what came of it"),
        "{}",
        ended.all()
    );
    remote.goes_on();
}

#[test]
fn a_step_that_outlives_its_controller_is_not_run_again() {
    let remote = Remote::new();
    let mut child = remote.in_the_step();
    let fleet = Pid::from_child(&child);
    kill_process(fleet, Signal::KILL).unwrap();
    child.wait().unwrap();
    remote.goes_on();
}
