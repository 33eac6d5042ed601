"""What one command costs, several of them in turn, and what is made of the numbers."""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One run of one command."""

    seconds: float
    """Wall time."""
    cpu: float
    """Seconds of CPU of the command and of everything it waited for."""
    own: float
    """Seconds of CPU of the command itself, as far as it was seen."""
    everywhere: float
    """Seconds that the processors of this machine were busy meanwhile, whoever with."""
    memory: int
    """The most bytes the command itself had in memory, as far as it was seen."""
    descriptors: int
    """The most files the command itself had open, as far as it was seen."""


def command(words: Sequence[object], directory: Path, allowed: Sequence[int] = (0,), **environment: str) -> Sample:
    """Runs a command in `directory`; any exit status that is not allowed ends the bench."""
    log = directory / "log"
    with open(log, "wb") as output:
        begin, busy = time.monotonic(), busy_seconds()
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=directory,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        watch = Watch(process.pid)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            raise
        finally:
            watch.end()
        seconds, busy = time.monotonic() - begin, busy_seconds() - busy
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in allowed:
        tail = log.read_text(errors="replace")[-4000:]
        raise SystemExit(f"{' '.join(map(str, words))}\nended with {process.returncode}:\n{tail}")
    cpu = usage.ru_utime + usage.ru_stime
    return Sample(seconds, cpu, watch.cpu, busy, watch.memory, watch.descriptors)


def busy_seconds() -> float:
    """How long the processors have been busy since the machine was started, added up."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, interrupt, soft, *_ = map(int, stat.readline().split()[1:])
    return (user + nice + system + interrupt + soft) / os.sysconf("SC_CLK_TCK")


class Watch:
    """Looks at a process twenty times a second. What the kernel says of it in the end would be no
    less than this interpreter had, whose copy it began as."""

    def __init__(self, pid: int) -> None:
        self.descriptors = 0
        self.memory = 0
        self.cpu = 0.0
        self._folder = Path("/proc") / str(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            try:
                status = (self._folder / "status").read_text()
                ticks = (self._folder / "stat").read_text().rpartition(")")[2].split()
                self.descriptors = max(self.descriptors, len(os.listdir(self._folder / "fd")))
            except OSError:
                return  # It has ended.
            peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
            if peak:  # A zombie has none.
                self.memory = int(peak[0]) << 10
            self.cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        self._over.set()
        self._thread.join()


def interleaved(
    rounds: int, runs: dict[str, Callable[[], Sample]], less: dict[str, int] | None = None
) -> dict[str, list[Sample]]:
    """Runs all in turn, several rounds: what disturbs the machine disturbs all alike. Those of
    `less` take part in so many rounds only."""
    samples: dict[str, list[Sample]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            if number >= (less or {}).get(name, rounds):
                continue
            sample = run()
            samples[name].append(sample)
            say(f"  round {number + 1} of {rounds}: {name} {sample.seconds:.2f} s")
    return samples


def wall(samples: list[Sample]) -> float:
    """The median of the wall times, in seconds."""
    return statistics.median(sample.seconds for sample in samples)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 100 else f"{value:.0f} s"


def mebibytes(value: float) -> str:
    return f"{value / (1 << 20):.1f} MiB"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


@dataclass(frozen=True)
class Target:
    """Something that must hold, and what was measured."""

    text: str
    measured: float
    limit: float
    at_least: bool = False

    def met(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def row(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        return [self.text, f"{self.measured:.2f}", f"{sign} {self.limit:g}", "yes" if self.met() else "**no**"]


@dataclass(frozen=True)
class Section:
    """A part of the document."""

    title: str
    text: str
    targets: Sequence[Target] = ()
