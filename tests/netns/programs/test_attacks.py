"""ssh and rsync under `sennit run` with an attacker on either path: the right file, or a failure and no file."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacked_program import ProgramUnderAttack
from ssh_server import SshServer, ssh_server

from lab.attack.cells import Row, attacks_on
from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB, SERVICE_NAME

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

SSH = f"ssh.{SERVICE_NAME}"


class RsyncUnderAttack(ProgramUnderAttack):
    """Copies the sample with rsync through ssh."""

    server: SshServer
    file: Path

    def program(self, host: str) -> tuple[str, ...]:
        self.file.unlink(missing_ok=True)
        sample = self.lab.place.node("origin") / "sample.bin"
        return ("rsync", "-e", self.server.shell(0), f"{SSH}:{sample}", str(self.file))

    def received(self, done: "subprocess.CompletedProcess[bytes]") -> bytes:
        return self.file.read_bytes() if self.file.exists() else b""

    def _dialled(self, host: str) -> str:
        return SSH


@pytest.fixture
def server(place: LabFolder, open_folder: Path) -> Iterator[SshServer]:
    with ssh_server(place, "origin", LAB.backbone_address("origin"), 2222, open_folder) as running:
        yield running


@pytest.mark.parametrize("name", ["own shares to both ends", "other nonces", "a byte flipped in the file"])
def test_an_attacker_on_either_path_gets_a_failure_or_nothing(
    place: LabFolder, server: SshServer, name: str, tmp_path: Path
) -> None:
    attack = next(attack for attack in attacks_on(Row.OPPORTUNISTIC) if attack.name == name)
    attacked = RsyncUnderAttack(NamespaceLab(place, LAB), tmp_path / "known_hosts")
    attacked.server, attacked.file = server, tmp_path / "received"
    result = attacked.attack(Row.OPPORTUNISTIC, attack)
    assert result.ok, result
