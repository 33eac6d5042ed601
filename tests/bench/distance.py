"""The same check with every host 50 ms away."""

import asyncio
import threading
from pathlib import Path

import peers
from loopback import Loopback, free_port
from measure import Section, Target, interleaved, seconds, table, wall

ROUND_TRIP = 0.05
"""In seconds."""


class Far:
    """Proxies in front of all hosts that hand every byte on after half a round trip. Kernels
    without `netem` can do it too, and nothing but these connections is slowed down."""

    def __init__(self, hosts: Loopback) -> None:
        self._hosts = hosts
        self._port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Far":
        self._thread.start()
        for name in self._hosts.names:
            asyncio.run_coroutine_threadsafe(self._serve(self._hosts.address(name)), self._loop).result()
        for path in (self._hosts.ssh_config, self._hosts.known_hosts):
            path.write_text(path.read_text().replace(str(self._hosts.port), str(self._port)))
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        everything = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)

    async def _serve(self, address: str) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # The way there and back before a connection stands.
            await asyncio.sleep(ROUND_TRIP)
            far_reader, far_writer = await asyncio.open_connection(address, self._hosts.port)
            await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))

        await asyncio.start_server(connected, address, self._port)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hands on what comes, in order, each piece when its time has come."""
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            while True:
                due, piece = await on_the_way.get()
                await asyncio.sleep(due - self._loop.time())
                if not piece:
                    writer.close()
                    return
                writer.write(piece)
                await writer.drain()

        arriving = asyncio.ensure_future(arrive())
        piece = b"."
        while piece:
            try:
                piece = await reader.read(1 << 16)
            except ConnectionError:
                piece = b""
            on_the_way.put_nowait((self._loop.time() + ROUND_TRIP / 2, piece))
        await asyncio.gather(arriving, return_exceptions=True)


def measure(executable: Path, count: int, forks: int, rounds: int) -> Section:
    rows, targets = [], []
    for hosts in [1, count]:
        ssh, facts, check = times(executable, hosts, forks, rounds)
        trips = (check - ssh) / ROUND_TRIP
        named = "1 host" if hosts == 1 else f"{hosts} hosts at once"
        rows.append([named, *map(seconds, [ssh, facts, check]), f"{trips:.1f}"])
        targets.append(Target(f"check − `ssh host true`, 50 ms away, {named}, in round trips", trips, 2))
    text = (
        f"{peers.RESOURCES} resources on each host, each host behind a proxy that delays every byte: "
        f"{1000 * ROUND_TRIP:.0f} ms there and back. Median of {rounds} rounds. One round trip is the plan's: "
        "it follows the facts. What is said first comes with the command, and the end is said with "
        "the last task. The rest is work: of one host, and of several that share the processors with "
        "fleet and with the proxies.\n\n"
        + table(["", "`ssh host true`", "facts", "check", "check − `ssh host true`, in round trips"], rows)
    )
    return Section("Distance", text, targets)


def times(executable: Path, count: int, forks: int, rounds: int) -> list[float]:
    """Of connecting, of asking for facts and of a check."""
    with Loopback(count) as hosts:
        tree = hosts.directory / "tree"
        peers.fleet(executable, hosts, forks, "apply", hosts.playbook, tree, "-y")
        with Far(hosts):
            runs = {
                "ssh": lambda: peers.ssh_true(hosts, forks),
                "facts": lambda: peers.fleet_facts(executable, hosts, forks),
                "check": lambda: peers.fleet(executable, hosts, forks, "check", hosts.playbook, tree),
            }
            samples = interleaved(rounds, runs)
    return [wall(samples[name]) for name in runs]
