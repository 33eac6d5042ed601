#!/usr/bin/env python3
"""Measures what fleet costs, beside `ssh host true` and beside other tools, on this machine alone.

`make bench` runs all of it and writes docs/benchmarks.md; `make bench-quick` takes minutes and
writes nothing. Ends with 1 if something that must hold does not.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

import document
import contents
import distance
import growth
import peers
import shares
from loopback import Loopback
from measure import Section, say

ROOT = Path(__file__).parents[2]
SECTIONS = ["peers", "shares", "hosts", "resources", "thousands", "distance", "contents"]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the slow tools, and with fewer hosts")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this part; may be given again")
    parser.add_argument("--hosts", type=int, default=10, help="beside other tools (default 10)")
    parser.add_argument("--forks", type=int, default=10, help="hosts at once, for all tools (default 10)")
    parser.add_argument("--rounds", type=int, default=3, help="in which all take turns (default 3)")
    parser.add_argument("--write", type=Path, help="write the document here")
    parser.add_argument("--fleet", type=Path, default=ROOT / "target/release/fleet", help="the executable")
    return parser.parse_args()


def main() -> int:
    # Being told to end is no reason to leave sshds behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    asked = options()
    executable = asked.fleet.resolve()
    if not executable.exists():
        say(f"{executable} is missing: `make build` makes it")
        return 1
    forks, rounds = asked.forks, asked.rounds

    def beside() -> Section:
        with Loopback(asked.hosts) as hosts:
            return peers.compare(executable, hosts, forks, rounds, slow=not asked.quick)

    parts = {
        "peers": beside,
        "shares": lambda: shares.measure(executable, asked.hosts, forks, rounds),
        "hosts": lambda: growth.hosts(executable, [10, 50] if asked.quick else [10, 50, 200, 500], forks, rounds),
        "resources": lambda: growth.resources(
            executable, [50, 500] if asked.quick else [50, 500, 2000], rounds
        ),
        "thousands": lambda: growth.thousands(ROOT, 1000 if asked.quick else 10_000),
        "distance": lambda: distance.measure(executable, asked.hosts, forks, rounds),
        "contents": lambda: contents.measure(executable, asked.hosts, forks, rounds, 20 if asked.quick else 200),
    }
    begin = time.monotonic()
    sections = []
    for name in asked.only or SECTIONS:
        say(f"{name}:")
        sections.append(parts[name]())
        text = document.whole(ROOT, executable, sections, time.monotonic() - begin)
        # It takes an hour and more: what was measured is there although the rest is given up.
        if asked.write:
            asked.write.parent.mkdir(exist_ok=True)
            asked.write.write_text(text)
    print(text)
    missed = [target for section in sections for target in section.targets if not target.met()]
    for target in missed:
        say(f"missed: {target.text}: {target.measured:.2f}, not {target.row()[2]}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
