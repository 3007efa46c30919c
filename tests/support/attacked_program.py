"""The lab's attacks on an unmodified program under `sennit run`, whose client knows no host yet."""

import json
import subprocess
from pathlib import Path

from lab.attack.cells import AttackOutcome
from lab.attack.run import HANDSHAKE_TIMEOUT, AttackRunner
from lab.namespace.running import NamespaceLab
from lab.topology import SERVICE_NAME


class ProgramUnderAttack(AttackRunner):
    """A subclass says which program fetches the lab's sample from a host, and what it has received."""

    def __init__(self, lab: NamespaceLab, known_hosts: Path) -> None:
        super().__init__(lab)
        self._known_hosts = known_hosts

    def program(self, host: str) -> tuple[str, ...]:
        raise NotImplementedError

    def received(self, done: "subprocess.CompletedProcess[bytes]") -> bytes:
        raise NotImplementedError

    def _download(
        self, options: tuple[str, ...], host: str = SERVICE_NAME
    ) -> "subprocess.CompletedProcess[bytes]":
        command = ("sennit", "run", "--host", self._dialled(host), "--timeout", HANDSHAKE_TIMEOUT, "--json")
        command = (*command, "--known-hosts", str(self._known_hosts), *options, "--", *self.program(host))
        return subprocess.run(self.lab.command("phone", *command), capture_output=True, timeout=60)

    def _dialled(self, host: str) -> str:
        """Return the host that the program dials."""
        return host

    def _classify_outcome(self, done: "subprocess.CompletedProcess[bytes]") -> tuple[AttackOutcome, str]:
        """The right data, or a failure; never other data, in whole or in part."""
        received = self.received(done)
        if done.returncode == 0:
            return (AttackOutcome.SAFE if received == self.sample else AttackOutcome.NOT_DETECTED), ""
        assert self.sample.startswith(received)
        failed = [line for line in done.stderr.decode().splitlines() if line.startswith('{"event": "Failed"')]
        return AttackOutcome.DETECTED, json.loads(failed[0])["error"] if failed else ""
