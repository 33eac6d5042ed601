"""Large contents: an artifact beside `scp`, and the helper itself."""

import gzip
import os
from pathlib import Path

import peers
from loopback import Loopback
from measure import Sample, Section, Target, command, interleaved, mebibytes, seconds, table, wall

PLAY = """\
- name: artifact
  hosts: all
  tasks:
    - name: artifact
      copy: {{src: {source}, dest: "{{{{ tree }}}}/{{{{ inventory_hostname }}}}/artifact", mode: "0644"}}
"""


def measure(executable: Path, count: int, forks: int, rounds: int, mebi: int) -> Section:
    with Loopback(count) as hosts:
        tree = hosts.directory / "tree"
        for name in hosts.names:
            (tree / name).mkdir(parents=True)
        source = hosts.directory / "artifact"
        with open(source, "wb") as file:
            # Nothing that ssh could compress.
            for _ in range(mebi):
                file.write(os.urandom(1 << 20))
        playbook = hosts.directory / "artifact.yml"
        playbook.write_text(PLAY.format(source=source))
        # The helper is there before the first round.
        peers.fleet(executable, hosts, forks, "check", playbook, tree, allowed=(0, 2))

        def remove() -> None:
            for copy in tree.glob("*/artifact"):
                copy.unlink()

        def scp() -> Sample:
            remove()
            target = f"{{}}:{tree}/{{}}/artifact"
            words = ["xargs", "-a", peers.names_file(hosts), "-P", forks, "-I", "{}"]
            return command([*words, "scp", "-q", "-F", hosts.ssh_config, source, target], hosts.directory)

        def scp_and_sum() -> Sample:
            """What fleet does beside sending: the bytes that arrived are those that were sent."""
            remove()
            copy = f"scp -q -F {hosts.ssh_config} {source} {{}}:{tree}/{{}}/artifact"
            check = f"ssh -F {hosts.ssh_config} {{}} sha256sum {tree}/{{}}/artifact"
            words = ["xargs", "-a", peers.names_file(hosts), "-P", forks, "-I", "{}"]
            return command([*words, "sh", "-c", f"{copy} && {check}"], hosts.directory)

        def apply() -> Sample:
            return peers.fleet(executable, hosts, forks, "apply", playbook, tree, "-y")

        def send() -> Sample:
            remove()
            return apply()

        samples = interleaved(rounds, {"scp": scp, "sum": scp_and_sum, "send": send, "present": apply})
        if any(copy.stat().st_size != source.stat().st_size for copy in tree.glob("*/artifact")):
            raise SystemExit("an artifact did not arrive whole")

    times = {name: wall(taken) for name, taken in samples.items()}
    memory = max(sample.memory for sample in samples["send"])
    at_rest = max(sample.memory for sample in samples["present"])
    rows = [
        ["`scp`", seconds(times["scp"]), ""],
        ["`scp`, then `sha256sum` there", seconds(times["sum"]), ""],
        ["`fleet apply`, not there", seconds(times["send"]), mebibytes(memory)],
        ["`fleet apply`, there already", seconds(times["present"]), mebibytes(at_rest)],
    ]
    helper = next(executable.parent.glob("fleet-helper-*")).read_bytes()
    packed = len(gzip.compress(helper, 2))
    text = (
        f"An artifact of {mebi} MiB to {count} hosts, {forks} at once, median of {rounds} rounds. fleet "
        "also takes its sha256 as it arrives, syncs it to the disk, renames it and reads it back; `scp` does "
        "nothing of that.\n\n"
        + table(["", "time", "memory of fleet"], rows)
        + f"\nThe helper has {mebibytes(len(helper))}; a host that lacks it gets {mebibytes(packed)}, packed.\n"
    )
    targets = [
        Target(f"{mebi} MiB to {count} hosts ÷ `scp`", times["send"] / times["scp"], 1.1),
        Target("memory for sending it, in MiB beyond that of a run that sends nothing", (memory - at_rest) / (1 << 20), 8),
    ]
    return Section("Large contents", text, targets)
