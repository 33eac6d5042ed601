"""Who uses the processors while hosts are connected to and checked."""

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
            ]
        )
    heads = ["", "time", "CPU of the machine", "of it `ssh`", "fleet"]
    text = (
        f"For each of {count} hosts with {peers.RESOURCES} resources, {forks} at once: the median of the times and the "
        f"least of the CPU times of {rounds} rounds. What is missing to the CPU time of the machine is sshd's, "
        "the login shell's, the helper's and that of `sha256sum`, which verifies the helper. Which key exchange is used is for "
        "the user's `ssh_config` to say; the default withstands quantum computers and costs what the second row "
        "lacks.\n\n"
    )
    return Section("Where the time goes", text + table(heads, rows))
