//! Handlers run once, in the order they are written in, and never twice for one change.

use crate::machine::Machine;

const PLAYBOOK: &str = r"
- name: Handlers
  hosts: node1
  become: true
  tasks:
    - name: First file
      copy: { dest: /etc/proof-1, content: one }
      notify: [third, first]
    - name: Second file
      copy: { dest: /etc/proof-2, content: two }
      notify: [first, by topic]
    - name: Handlers are not due yet
      shell: test ! -e /root/handled
  handlers:
    - name: first
      shell: echo first >> /root/handled
    - name: second
      shell: echo second >> /root/handled
      listen: by topic
    - name: third
      shell: echo third >> /root/handled
";

#[test]
fn handlers_run_once_after_the_tasks_in_the_order_they_are_written_in() {
    let machine = Machine::pristine();
    let playbook = machine.write("playbook.yml", PLAYBOOK);
    let handled = || machine.sh("cat /root/handled");

    let _ = machine.fleet(&["check", &playbook]).exits(2);
    machine.sh("test ! -e /root/handled");

    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(handled(), "first\nsecond\nthird\n");

    machine.sh("rm /root/handled");
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    machine.sh("test ! -e /root/handled");

    machine.sh("echo drift > /etc/proof-2");
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(handled(), "first\nsecond\n");
}

#[test]
fn a_handler_that_fails_stays_pending_until_it_succeeds() {
    let machine = Machine::pristine();
    let playbook = machine.write(
        "playbook.yml",
        r"
- name: Handlers
  hosts: node1
  become: true
  tasks:
    - name: File
      copy: { dest: /etc/proof, content: one }
      notify: fragile
  handlers:
    - name: fragile
      command: test -e /root/repaired
",
    );
    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    assert!(run.failure().contains("status 1"), "{}", run.failure());

    let check = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    assert_eq!(
        check.findings(),
        ["command test -e /root/repaired: handler run ← pending since an interrupted run"]
    );
    machine.sh("touch /root/repaired");
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    let _ = machine.fleet(&["check", &playbook]).exits(0);
}
