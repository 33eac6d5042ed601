"""Private sshds on loopback addresses, one for each host, and what reaches them."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

WORKLOAD = Path(__file__).parent / "workload"
ADDRESSES = 250  # of 127.0.N.1 upwards


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Loopback:
    """Hosts that are all this machine, each with an address, an sshd and a helper of its own."""

    def __init__(self, count: int) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="fleet-bench-"))
        self.names = [f"host{number:04}" for number in range(1, count + 1)]
        self.port = free_port()
        self.ssh_config = self.directory / "ssh_config"
        self.inventory = self.directory / "hosts.yml"
        self.known_hosts = self.directory / "known_hosts"
        self.key = self.directory / "user_key"
        # A copy, beside which fleet keeps what it remembers.
        self.workload = self.directory / "workload"
        self.playbook = self.workload / "fifty-resources.yml"
        self._servers: list[subprocess.Popen] = []

    def __enter__(self) -> "Loopback":
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.terminate()
        for server in self._servers:
            server.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def address(self, name: str) -> str:
        number = int(name.removeprefix("host"))
        return f"127.0.{number // ADDRESSES}.{number % ADDRESSES + 1}"

    def forget_helpers(self) -> None:
        """Makes every host one that fleet has never been on."""
        for state in self.directory.glob("state.*"):
            shutil.rmtree(state)

    def _start(self) -> None:
        shutil.copytree(WORKLOAD, self.workload)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        for key in ("host_key", "user_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / key], check=True
            )
        self._write_client_files()
        for name in self.names:
            self._servers.append(self._serve(name))
        for name in self.names:
            self._wait_for(name)

    def _serve(self, name: str) -> subprocess.Popen:
        configuration = self.directory / f"sshd_config.{name}"
        configuration.write_text(
            f"ListenAddress {self.address(name)}:{self.port}\n"
            f"HostKey {self.directory}/host_key\n"
            f"AuthorizedKeysFile {self.directory}/user_key.pub\n"
            "PidFile none\n"
            "UsePAM no\n"
            "StrictModes no\n"
            "PermitRootLogin yes\n"
            "Subsystem sftp internal-sftp\n"
            # Each host keeps its helper apart, so that none saves the others work.
            f"SetEnv FLEET_STATE_DIR={self.directory}/state.{name}\n"
        )
        sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        with open(self.directory / f"sshd.{name}.log", "wb") as log:
            return subprocess.Popen([sshd, "-D", "-e", "-f", configuration], stderr=log)

    def _wait_for(self, name: str) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection((self.address(name), self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    log = (self.directory / f"sshd.{name}.log").read_text()
                    raise SystemExit(f"the sshd of {name} does not answer:\n{log}") from None
                time.sleep(0.05)

    def _write_client_files(self) -> None:
        host_key = " ".join((self.directory / "host_key.pub").read_text().split()[:2])
        known, config, inventory = [], [], ["all:", "  hosts:"]
        for name in self.names:
            known.append(f"[{self.address(name)}]:{self.port} {host_key}")
            config.append(f"Host {name}\n  HostName {self.address(name)}\n  Port {self.port}")
            inventory.append(f"    {name}: {{}}")
        config.append(
            "Host *\n"
            f"  IdentityFile {self.key}\n"
            "  IdentitiesOnly yes\n"
            "  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.known_hosts}\n"
            "  GlobalKnownHostsFile /dev/null\n"
            "  UpdateHostKeys no\n"
            "  BatchMode yes"
        )
        self.known_hosts.write_text("\n".join(known) + "\n")
        self.ssh_config.write_text("\n".join(config) + "\n")
        self.inventory.write_text("\n".join(inventory) + "\n")
