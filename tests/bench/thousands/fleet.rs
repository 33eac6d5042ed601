//! A fleet as people write it: a site with racks, variables at every level, one role for all.

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// How many hosts share a rack and its variables.
const RACK: usize = 40;

/// Writes an inventory of so many hosts and a playbook of 50 resources: ten directories, thirty
/// templates and ten lines, a third of them the same on all hosts, a third in each rack, a third
/// nowhere.
pub(crate) fn write(folder: &Path, hosts: usize) {
    let mut inventory =
        String::from("all:\n  vars: {site: north, domain: north.example}\n  children:\n");
    for rack in 0..hosts.div_ceil(RACK) {
        let _ = writeln!(
            inventory,
            "    rack{rack:03}:\n      vars: {{rack: {rack}, gateway: 10.{}.{}.1}}\n      hosts:",
            rack / 250,
            rack % 250
        );
        for host in (rack * RACK..hosts).take(RACK) {
            let _ = writeln!(
                inventory,
                "        node{host:05}: {{ansible_host: 192.0.2.1, serial_number: S{host}}}"
            );
        }
    }
    fs::write(folder.join("hosts.yml"), inventory).unwrap();
    fs::create_dir(folder.join("templates")).unwrap();
    for (name, text) in [
        ("site.conf", "site = {{ site }}\ninstance = {{ item }}\n"),
        (
            "rack.conf",
            "rack = {{ rack }}\ngateway = {{ gateway }}\ninstance = {{ item }}\n",
        ),
        (
            "host.conf",
            "host = {{ inventory_hostname }}.{{ domain }}\nserial = {{ serial_number }}\ninstance = {{ item }}\n",
        ),
    ] {
        fs::write(folder.join("templates").join(name), text).unwrap();
    }
    fs::write(folder.join("play.yml"), PLAY).unwrap();
}

const PLAY: &str = r#"
- name: fifty resources
  hosts: all
  vars:
    home: /srv/bench
    numbers: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
  tasks:
    - name: directory
      file: {path: "{{ home }}/{{ item }}", state: directory, mode: "0755"}
      loop: "{{ numbers }}"
    - name: site
      template: {src: site.conf, dest: "{{ home }}/{{ item }}/site.conf", mode: "0644"}
      loop: "{{ numbers }}"
    - name: rack
      template: {src: rack.conf, dest: "{{ home }}/{{ item }}/rack.conf", mode: "0644"}
      loop: "{{ numbers }}"
    - name: host
      template: {src: host.conf, dest: "{{ home }}/{{ item }}/host.conf", mode: "0600"}
      loop: "{{ numbers }}"
    - name: limit
      lineinfile: {path: "{{ home }}/{{ item }}/limits", line: "nofile={{ item }}", regexp: "^nofile=", create: true}
      loop: "{{ numbers }}"
"#;
