"""The document that a run of all parts gives."""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from measure import Section, table

PREFACE = """\
# What fleet costs

Written by `make bench`, which measures everything anew on one machine: what it says of other
machines is in the ratios, not in the seconds. All hosts are sshds of their own on loopback
addresses, so hosts and controller share the processors. What is compared takes turns in the same
rounds, and the number is the median of the rounds. Nothing is counted of a tool that did not do
the work: in the end the files of all tools are the same, byte for byte and mode for mode, and no
second apply or check has touched one of them.

Ansible is set up as somebody who wants it fast has it (`tests/bench/workload/ansible.cfg`):
pipelining, connections kept between runs, as many forks as the other tools have, no facts, no
search for an interpreter. With Mitogen it is also measured as installed, when it gathers facts, as
fleet always does. It and fleet are given the very same playbook.
"""


def whole(root: Path, executable: Path, sections: Sequence[Section], duration: float) -> str:
    targets = [target.row() for section in sections for target in section.targets]
    parts = [
        PREFACE,
        f"Measured in {duration / 60:.0f} minutes on {machine()}, with {versions(root, executable)}.\n",
        "## What must hold\n",
        table(["", "measured", "must be", "holds"], targets),
    ]
    for section in sections:
        parts += [f"## {section.title}\n", section.text]
    return "\n".join(parts)


def machine() -> str:
    cpu = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"{os.cpu_count()} processors ({cpu}), {memory:.0f} GiB, {system}, Linux {platform.release().split('-')[0]}"


def versions(root: Path, executable: Path) -> str:
    def said(*words: object) -> str:
        answer = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=root)
        return (answer.stdout + answer.stderr).strip().splitlines()[0]

    commit = said("git", "rev-parse", "--short=12", "HEAD")
    tools = [
        f"{said(executable, '--version')} ({commit})",
        said("ssh", "-V").split(",")[0],
        f"clush {said('clush', '--version').split()[-1]}",
    ]
    pinned = (Path(__file__).parent / "requirements.txt").read_text().splitlines()
    tools += [line.replace("==", " ") for line in pinned if not line.startswith("#")]
    return ", ".join(tools)
