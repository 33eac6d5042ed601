"""fleet beside other tools: the same fifty resources on the same hosts, in the same rounds."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loopback import Loopback
from measure import Sample, Section, Target, command, interleaved, say, seconds, table, wall

HERE = Path(__file__).parent
RESOURCES = 50
STEPS = ["first apply", "second apply", "check"]

LIMITS = {"Ansible + Mitogen": 15, "pyinfra": 50, "Ansible, pipelining": 100}
"""How many times as long a check with other tools takes, at least."""


@dataclass(frozen=True)
class Tool:
    """A tool that does the work, and how it is told to."""

    name: str
    run: Callable[[str, Path], Sample]
    """Does one of the steps on a tree."""


def ssh_true(hosts: Loopback, forks: int, *more: object) -> Sample:
    """The least that connecting to all hosts costs."""
    words = ["xargs", "-a", names_file(hosts), "-P", forks, "-I", "{}", "ssh", "-F", hosts.ssh_config, *more, "{}", "true"]
    return command(words, hosts.directory)


def names_file(hosts: Loopback) -> Path:
    path = hosts.directory / "names"
    path.write_text("\n".join(hosts.names) + "\n")
    return path


def clush_true(hosts: Loopback, forks: int) -> Sample:
    names = ",".join(hosts.names)
    return command(["clush", "-f", forks, "-o", f"-F {hosts.ssh_config}", "-w", names, "true"], hosts.directory)


def fleet(
    executable: Path,
    hosts: Loopback,
    forks: int,
    verb: str,
    playbook: Path,
    tree: Path,
    *more: object,
    allowed: tuple[int, ...] = (0,),
) -> Sample:
    words = [executable, verb, playbook, "-i", hosts.inventory, "--ssh-config", hosts.ssh_config]
    words += ["-f", forks, "-e", f"tree={tree}", *more]
    return command(words, hosts.directory, allowed)


def fleet_facts(executable: Path, hosts: Loopback, forks: int) -> Sample:
    """A conversation without a task: what is left of a check beyond this is the resources."""
    words = [executable, "facts", "all", "-i", hosts.inventory, "--ssh-config", hosts.ssh_config]
    return command([*words, "-f", forks], hosts.directory)


def tool_fleet(executable: Path, hosts: Loopback, forks: int) -> Tool:
    def run(step: str, tree: Path) -> Sample:
        if step == "first apply":
            hosts.forget_helpers()
        verb = ["check"] if step == "check" else ["apply", "-y"]
        return fleet(executable, hosts, forks, verb[0], hosts.playbook, tree, *verb[1:])

    return Tool("fleet", run)


def tool_ansible(name: str, environment: Path, hosts: Loopback, forks: int, **settings: str) -> Tool:
    def run(step: str, tree: Path) -> Sample:
        words = [environment / "bin" / "ansible-playbook", hosts.playbook, "-i", hosts.inventory]
        words += ["-f", forks, "-e", f"tree={tree}", "--ssh-common-args", f"-F {hosts.ssh_config}"]
        if step == "check":
            words.append("--check")
        config = str(hosts.workload / "ansible.cfg")
        return command(words, hosts.directory, ANSIBLE_CONFIG=config, **settings)

    return Tool(name, run)


def tool_mitogen(name: str, environment: Path, hosts: Loopback, forks: int, **settings: str) -> Tool:
    [plugins] = environment.glob("lib/python*/site-packages/ansible_mitogen/plugins/strategy")
    return tool_ansible(
        name,
        environment,
        hosts,
        forks,
        ANSIBLE_STRATEGY_PLUGINS=str(plugins),
        ANSIBLE_STRATEGY="mitogen_linear",
        **settings,
    )


def tool_pyinfra(environment: Path, hosts: Loopback, forks: int) -> Tool:
    inventory = hosts.directory / "pyinfra_inventory.py"
    entries = []
    for name in hosts.names:
        data = {
            "ssh_hostname": hosts.address(name),
            "ssh_port": hosts.port,
            "ssh_key": str(hosts.key),
            "ssh_known_hosts_file": str(hosts.known_hosts),
        }
        entries.append((name, data))
    inventory.write_text(f"hosts = {entries!r}\n")

    def run(step: str, tree: Path) -> Sample:
        words = [environment / "bin" / "pyinfra", inventory, hosts.workload / "pyinfra.py"]
        words += ["--data", f"tree={tree}", "--parallel", forks, "--dry" if step == "check" else "--yes"]
        return command(words, hosts.directory)

    return Tool("pyinfra", run)


def content(tree: Path) -> dict[str, tuple[int, str]]:
    """Mode and sha256 of everything in a tree."""
    return {
        str(path.relative_to(tree)): (
            path.stat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(tree.rglob("*"))
    }


def touched(tree: Path) -> dict[str, tuple[int, int]]:
    """What differs after anything was written, were it the same again."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in tree.rglob("*")}


class Story:
    """One tool's three steps, each of which is looked at afterwards: no number is kept of a tool
    that did not do the work."""

    def __init__(self, tool: Tool, tree: Path, hosts: Loopback) -> None:
        self.tool, self.tree, self.hosts = tool, tree, hosts
        self.before: dict[str, tuple[int, int]] = {}

    def step(self, step: str) -> Sample:
        if step == STEPS[0]:
            shutil.rmtree(self.tree, ignore_errors=True)
            # The host's directory is there, and not counted: pyinfra makes no parents.
            for name in self.hosts.names:
                (self.tree / name).mkdir(parents=True)
            sample = self.tool.run(step, self.tree)
            self.before = touched(self.tree)
            return sample
        sample = self.tool.run(step, self.tree)
        if touched(self.tree) != self.before:
            raise SystemExit(f"{self.tool.name}: the {step} changed something")
        return sample


def alike(stories: list[Story], hosts: int) -> None:
    """All tools made the same, and all of it."""
    first, *others = stories
    expected = content(first.tree)
    if len(expected) != hosts * (RESOURCES + 1):
        raise SystemExit(f"{first.tool.name} made {len(expected)} things on {hosts} hosts")
    for other in others:
        found = content(other.tree)
        if found != expected:
            differing = [name for name in expected | found if expected.get(name) != found.get(name)]
            one = differing[0]
            raise SystemExit(
                f"{other.tool.name} made other things than {first.tool.name}: {len(differing)} differ, "
                f"such as {one}: {found.get(one)}, not {expected.get(one)}"
            )


def environment_of_peers() -> Path:
    """The virtual environment with the tools from PyPI, made when it is missing or old."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    wanted = (HERE / "requirements.txt").read_bytes()
    path = cache / "fleet-bench" / hashlib.sha256(wanted).hexdigest()[:16]
    if not (path / "complete").exists():
        say(f"installing the other tools into {path}")
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run(["/usr/bin/python3", "-m", "venv", path], check=True)
        subprocess.run([path / "bin/pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True, stdout=sys.stderr)
        (path / "complete").touch()
    return path


SLOW_ROUNDS = 2
"""For tools that take minutes for each step."""


def compare(executable: Path, hosts: Loopback, forks: int, rounds: int, slow: bool) -> Section:
    tools = [tool_fleet(executable, hosts, forks)]
    if slow:
        environment = environment_of_peers()
        # As installed it gathers facts, as fleet does; without them it does less.
        tools.append(tool_mitogen("Ansible + Mitogen", environment, hosts, forks, ANSIBLE_GATHERING="implicit"))
        tools.append(tool_mitogen("Ansible + Mitogen, no facts", environment, hosts, forks))
        tools.append(tool_pyinfra(environment, hosts, forks))
        tools.append(tool_ansible("Ansible, pipelining, no facts", environment, hosts, forks))
    stories = [Story(tool, hosts.directory / f"tree{at}", hosts) for at, tool in enumerate(tools)]
    runs: dict[str, Callable[[], Sample]] = {
        "ssh host true": lambda: ssh_true(hosts, forks),
        "clush true": lambda: clush_true(hosts, forks),
        "fleet facts": lambda: fleet_facts(executable, hosts, forks),
    }
    bare = list(runs)
    for story in stories:
        for step in STEPS:
            runs[f"{story.tool.name}, {step}"] = lambda story=story, step=step: story.step(step)
    minutes = [name for name in runs if name.startswith(("pyinfra", "Ansible, pipelining"))]
    samples = interleaved(rounds, runs, dict.fromkeys(minutes, SLOW_ROUNDS))
    alike(stories, len(hosts.names))

    times = {name: wall(taken) for name, taken in samples.items()}
    connecting = times["ssh host true"]
    ours = {step: times[f"fleet, {step}"] for step in STEPS}
    rows = [[name, "", "", seconds(times[name]), f"{times[name] / connecting:.2f}"] for name in bare]
    for tool in tools:
        own = [times[f"{tool.name}, {step}"] for step in STEPS]
        rows.append([tool.name, *map(seconds, own), f"{own[2] / connecting:.2f}"])
    text = (
        f"{len(hosts.names)} hosts × {RESOURCES} resources (10 directories, 30 templates, 10 lines in files), "
        f"{forks} hosts at once, the median of {rounds} rounds in which all take turns"
        + (f"; pyinfra and Ansible without Mitogen, which take minutes, take part in {SLOW_ROUNDS}" if slow else "")
        + ".\n\n"
        + table(["", *STEPS, "check ÷ `ssh host true`"], rows)
    )
    targets = [Target("check ÷ `ssh host true`", ours["check"] / connecting, 1.3)]
    for tool in tools[1:]:
        check = times[f"{tool.name}, check"]
        limit = next(limit for name, limit in LIMITS.items() if tool.name.startswith(name))
        targets.append(Target(f"{tool.name} ÷ fleet, check", check / ours["check"], limit, at_least=True))
        if "Mitogen" in tool.name:
            ratio = times[f"{tool.name}, first apply"] / ours["first apply"]
            targets.append(Target(f"{tool.name} ÷ fleet, first apply", ratio, 20, at_least=True))
    return Section("Beside other tools", text, targets)
