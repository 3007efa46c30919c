"""A machine with systemd, reached by ssh: what virtual machines and containers have in common."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from lab.wait import wait_for

BOOT = 180  # seconds at most: a dozen on a quiet machine


class Machine:
    """One running machine. `address` and `port` are those of its ssh, for commands that `controller` begins."""

    def __init__(
        self,
        name: str,
        folder: Path,
        ssh_key: Path,
        process: "subprocess.Popen[bytes]",
        *,
        address: str,
        port: int,
        controller: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._folder, self._ssh_key, self._process = folder, ssh_key, process
        self._address, self._port, self._controller = address, port, controller

    @staticmethod
    def console_of(name: str, folder: Path) -> Path:
        """The file in which a machine's console ends up."""
        return folder / f"{name}.console"

    def wait(self) -> None:
        """Wait until ssh answers. Raises `LabFailed` with the console's end."""
        console = self.console_of(self.name, self._folder)
        wait_for(f"ssh of {self.name}", self._answers, BOOT, console)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            console = self.console_of(self.name, self._folder)
            raise RuntimeError(f"{self.name} ended: {console.read_text(errors='replace')[-3000:]}")
        try:
            return self.run("true", check=False, timeout=20).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def run(
        self, *command: str, check: bool = True, timeout: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command as root. Raises `RuntimeError` with what it said."""
        done = subprocess.run(
            [*self._controller, "ssh", "-F", str(self.ssh_config([self])), self.name, shlex.join(command)],
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            raise RuntimeError(
                f"on {self.name}: {shlex.join(command)}: {(done.stderr or done.stdout).strip()}"
            )
        return done

    def ssh_config(self, machines: Sequence[Self]) -> Path:
        """Write what ssh, and Ansible through it, needs to know of `machines`."""
        path = self._folder / f"{'-'.join(machine.name for machine in machines)}.ssh"
        path.write_text(
            "".join(
                f"Host {machine.name}\n  HostName {machine._address}\n  Port {machine._port}\n"
                for machine in machines
            )
            + f"Host *\n  User root\n  IdentityFile {self._ssh_key}\n  StrictHostKeyChecking no\n"
            "  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n  ConnectTimeout 15\n"
            f"  ControlMaster auto\n  ControlPersist 60\n  ControlPath {self._folder}/%n-%p\n"
        )
        return path

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
