"""Who uses the processors while hosts are connected to and checked."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import peers
from loopback import Loopback
from measure import Sample, Section, interleaved, table, wall


def measure(executable: Path, count: int, forks: int, rounds: int) -> Section:
    with Loopback(count) as hosts:
        tree = hosts.directory / "tree"
        peers.fleet(executable, hosts, forks, "apply", hosts.playbook, tree, "-y")
        runs: dict[str, Callable[[], Sample]] = {
            "`ssh host true`": lambda: peers.ssh_true(hosts, forks),
            "the same with `KexAlgorithms=curve25519-sha256`": lambda: peers.ssh_true(
                hosts, forks, "-o", "KexAlgorithms=curve25519-sha256"
            ),
            "`fleet facts`": lambda: peers.fleet_facts(executable, hosts, forks),
            "`fleet check`": lambda: peers.fleet(executable, hosts, forks, "check", hosts.playbook, tree),
        }
        samples = interleaved(rounds, runs)
        helper = helper_seconds(executable, hosts, forks, tree)

    def each(name: str, seconds: Callable[[Sample], float]) -> str:
        return f"{1000 * min(map(seconds, samples[name])) / count:.1f} ms"

    rows = []
    for name in runs:
        ours = "fleet" in name
        rows.append(
            [
                name,
                f"{1000 * wall(samples[name]) / count:.0f} ms",
                each(name, lambda sample: sample.everywhere),
                each(name, lambda sample: sample.cpu - (sample.own if ours else 0)),
                each(name, lambda sample: sample.own) if ours else "",
                f"{1000 * helper / count:.1f} ms" if name == "`fleet check`" else "",
            ]
        )
    heads = ["", "time", "CPU of the machine", "of it `ssh`", "fleet", "the helper"]
    text = (
        f"For each of {count} hosts with {peers.RESOURCES} resources, {forks} at once: the median of the times and the "
        f"least of the CPU times of {rounds} rounds. What is missing to the CPU time of the machine is sshd's, of "
        "the login shell and of `sha256sum` there, which verifies the helper. Which key exchange is used is for "
        "the user's `ssh_config` to say; the default withstands quantum computers and costs what the second row "
        "lacks.\n\n"
    )
    return Section("Where the time goes", text + table(heads, rows))


def helper_seconds(executable: Path, hosts: Loopback, forks: int, tree: Path) -> float:
    """The CPU time of all helpers in one check, as they say themselves."""
    words = [executable, "check", hosts.playbook, "-i", hosts.inventory, "--ssh-config", hosts.ssh_config]
    words += ["-f", forks, "-e", f"tree={tree}", "--format", "json"]
    done = subprocess.run([str(word) for word in words], cwd=hosts.directory, stdout=subprocess.PIPE, check=True)
    return sum(host["cpu_ms"] for host in json.loads(done.stdout)["hosts"]) / 1000
