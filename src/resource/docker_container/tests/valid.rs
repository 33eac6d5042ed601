//! What no container can be is refused before a host is contacted.

use serde_json::json;

use super::super::*;
use super::container;

#[test]
fn validate_names_what_is_wrong() {
    for (fields, expected) in [
        (json!({ "name": "../x" }), "is no name for a container"),
        (json!({ "ports": ["80"] }), "is no port"),
        (json!({ "ports": ["8080:0"] }), "is no port"),
        (json!({ "ports": ["300.1.1.1:80:80"] }), "is no port"),
        (json!({ "ports": ["80:80", "80:81"] }), "published twice"),
        (
            json!({ "ports": ["80:80"], "network": "host" }),
            "leave `ports` out",
        ),
        (json!({ "volumes": ["data"] }), "is no volume"),
        (json!({ "volumes": ["/a:/b/../c"] }), "is no volume"),
        (json!({ "volumes": ["./a:/b"] }), "is no volume"),
        (json!({ "restart": "sometimes" }), "is no restart policy"),
        (json!({ "memory": "4m" }), "less than 6m"),
        (json!({ "memory_swap": "1g" }), "needs `memory`"),
        (
            json!({ "memory": "1g", "memory_swap": "512m" }),
            "cannot be less",
        ),
        (json!({ "cpus": 0 }), "is not between"),
        (json!({ "pids": 0 }), "would let nothing run"),
        (
            json!({ "env": { "A=B": "" } }),
            "is no name for an environment variable",
        ),
        (
            json!({ "java": { "version": "17", "heap_percent": 70 } }),
            "needs `memory`",
        ),
        (
            json!({ "memory": "512m", "java": { "version": "17", "xmx": "512m" } }),
            "the heap does not fit",
        ),
        (
            json!({ "memory": "1g", "java": { "version": "17", "xmx": "512m" },
                    "env": { "JAVA_TOOL_OPTIONS": "" } }),
            "`java` sets JAVA_TOOL_OPTIONS itself",
        ),
    ] {
        let problem = container(fields).validate().unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn validate_names_what_is_wrong_with_process_and_confinement() {
    for (fields, expected) in [
        (json!({ "user": "a b" }), "is no user"),
        (
            json!({ "working_dir": "srv" }),
            "does not begin at the root",
        ),
        (json!({ "hostname": "a/b" }), "is no name for a host"),
        (
            json!({ "hostname": "a", "network": "host" }),
            "leave `hostname` out",
        ),
        (json!({ "stop_signal": "SIGNAL" }), "is no signal"),
        (
            json!({ "healthcheck": { "interval": "0s" } }),
            "less than 1ms",
        ),
        (
            json!({ "settle": { "time": "3m", "deadline": "2m" } }),
            "ends after 2m, before the 3m",
        ),
        (
            json!({ "settle": { "deadline": "2h" } }),
            "is more than an hour",
        ),
        (
            json!({ "ulimits": { "nofile": { "soft": 2, "hard": 1 } } }),
            "not more than the hard one",
        ),
        (
            json!({ "ulimits": { "nofiles": { "soft": 1, "hard": 1 } } }),
            "`nofiles` in `ulimits` is none that is known",
        ),
        (
            json!({ "sysctls": { "vm.swappiness": "1" } }),
            "is one of the whole host",
        ),
        (
            json!({ "sysctls": { "net.core.somaxconn": "1" }, "network": "host" }),
            "would be the host's",
        ),
        (json!({ "cap_add": ["NET_ADMINS"] }), "is no capability"),
        (
            json!({ "security_opt": ["seccomp=/etc/profile.json"] }),
            "is none that is known",
        ),
        (
            json!({ "ipc": "container:db" }),
            "`ipc: container:db` is none",
        ),
        (json!({ "devices": ["/dev/a:/dev/b:x"] }), "is no device"),
        (json!({ "tmpfs": { "run": "" } }), "is no path for `tmpfs`"),
        (json!({ "dns": ["ns1"] }), "is no address"),
        (json!({ "extra_hosts": ["db"] }), "no name with its address"),
        (
            json!({ "network": "host", "networks": { "a": {} } }),
            "can be in no other",
        ),
        (
            json!({ "networks": { "bridge": { "aliases": ["a"] } } }),
            "has no `aliases`",
        ),
        (json!({ "shm_size": "0" }), "would let nothing be shared"),
        // All at once.
        (json!({ "pids": 0, "dns": ["ns1"] }), "is no address\n`pids"),
    ] {
        let problem = container(fields).validate().unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
}
