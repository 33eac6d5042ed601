//! Words of Ansible that fleet does not know, and what to write instead.

pub(super) const PLAY: [(&str, &str); 15] = [
    (
        "become_user",
        "fleet becomes root; use `run_as` in a task that runs programs",
    ),
    ("become_method", "fleet uses sudo"),
    (
        "collections",
        "fleet has no collections; `fleet doc` lists its kinds",
    ),
    ("connection", "set `ansible_connection` in the inventory"),
    ("environment", "set variables inside a `shell` task"),
    (
        "gather_facts",
        "facts are always there, at no cost: remove it",
    ),
    ("ignore_errors", "set it on the tasks it is meant for"),
    ("import_playbook", "run the playbooks one after the other"),
    (
        "max_fail_percentage",
        "write `max_fail: 30%`: it is a part of all selected hosts, unreachable ones count, and to reach it is to stop",
    ),
    ("module_defaults", "repeat the fields, or use variables"),
    ("port", "set `ansible_port` in the inventory"),
    (
        "remote_user",
        "set `ansible_user` in the inventory, or use `-u`",
    ),
    ("strategy", "hosts never wait for each other"),
    ("vars_prompt", "use `-e`"),
    ("when", "put it on the roles and tasks it is meant for"),
];

pub(super) const TASK: [(&str, &str); 41] = [
    ("action", "write the kind as a key: `copy: {…}`"),
    ("always", "it is planned"),
    ("any_errors_fatal", "set it on the play"),
    (
        "args",
        "write all fields under the kind: `command: {cmd: …, chdir: …}`",
    ),
    (
        "async",
        "set `timeout` in the command; hosts never wait for each other",
    ),
    (
        "become",
        "set `become` on the play, and `run_as` in a task that runs as another user",
    ),
    ("become_user", "use `run_as`"),
    (
        "block",
        "put the tasks into a file and `import_tasks` it with `when`",
    ),
    (
        "check_mode",
        "a check never changes a host; `changed_when: false` lets a command run in it",
    ),
    ("connection", "set `ansible_connection` in the inventory"),
    ("debugger", "use `debug` tasks"),
    ("delegate_to", "write a play for that host"),
    ("diff", "use `-D`"),
    ("environment", "set variables inside a `shell` task"),
    ("first_found", "name the file, with a variable if need be"),
    (
        "ignore_unreachable",
        "an unreachable host is always reported",
    ),
    ("import_role", "list the role under `roles` of a play"),
    ("include", "use `import_tasks`"),
    ("include_role", "list the role under `roles` of a play"),
    (
        "include_tasks",
        "use `import_tasks`; with `loop`, put the loop on the tasks",
    ),
    ("include_vars", "use `vars_files` on the play"),
    ("listen", "only handlers listen"),
    ("local_action", "write a play for `localhost`"),
    ("loop_control", "the variable is always `item`"),
    (
        "meta",
        "handlers run after `pre_tasks`, after `tasks` and after `post_tasks`",
    ),
    ("module_defaults", "repeat the fields, or use variables"),
    ("poll", "hosts never wait for each other"),
    (
        "remote_user",
        "set `ansible_user` in the inventory, or use `-u`",
    ),
    ("rescue", "it is planned"),
    ("run_once", "write a play for one host"),
    ("serial", "set it on the play"),
    ("throttle", "use `-f`"),
    ("timeout", "a field of `command` and `shell`"),
    (
        "with_dict",
        "use `loop: \"{{ map | pairs }}\"`: each item is a list of [key, value]",
    ),
    ("with_fileglob", "list the files under `loop`"),
    (
        "with_first_found",
        "name the file, with a variable if need be",
    ),
    ("with_indexed_items", "use `loop`"),
    ("with_items", "use `loop`"),
    ("with_list", "use `loop`"),
    ("with_sequence", "use `loop: \"{{ range(end=3) }}\"`"),
    ("with_subelements", "use `loop` over a list comprehension"),
];

/// Modules of Ansible that are something else here.
pub(super) const KIND: [(&str, &str); 24] = [
    (
        "apt",
        "`rpm` installs packages from files the controller has",
    ),
    (
        "blockinfile",
        "use `template` for the whole file, or `lineinfile`",
    ),
    (
        "dnf",
        "`rpm` installs a pinned set of packages, without repositories",
    ),
    ("docker_container", "it is planned"),
    ("docker_image", "it is planned"),
    ("expect", "use `command` with `stdin`"),
    ("fetch", "`fleet exec` shows files"),
    (
        "get_url",
        "fetch files on the controller; `copy` brings them",
    ),
    (
        "gather_facts",
        "facts are always there, at no cost: remove it",
    ),
    ("hostname", "use `command` with `unless`"),
    ("modprobe", "use `kernel_module`"),
    (
        "package",
        "`rpm` installs a pinned set of packages, without repositories",
    ),
    ("pause", "use `wait_for`"),
    ("ping", "`fleet exec PATTERN -- true`"),
    ("raw", "use `shell`"),
    ("reboot", "it is planned"),
    ("replace", "use `lineinfile` or `template`"),
    ("script", "use `copy` and `command`"),
    ("service_facts", "use `service`, which looks for itself"),
    ("setup", "facts are always there, at no cost: remove it"),
    ("stat", "use `file`, or `command` with `register`"),
    ("systemd", "use `service`"),
    ("unarchive", "use `copy` and `command` with `creates`"),
    (
        "yum",
        "`rpm` installs a pinned set of packages, without repositories",
    ),
];
