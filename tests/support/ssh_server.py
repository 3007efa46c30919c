"""Debian's sshd on a node of the lab, with keys of its own, and what a client needs to reach it."""

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.namespace.place import LabFolder
from lab.wait import wait_for


@dataclass(frozen=True)
class SshServer:
    """A running server; `options` are those of ssh for any user that may read `folder`."""

    folder: Path

    def options(self, uid: int) -> tuple[str, ...]:
        """Return options that take nothing of the machine's own configuration."""
        key = self.folder / f"key-{uid}"
        if not key.exists():
            key.write_bytes((self.folder / "user").read_bytes())
            key.chmod(0o600)
            os.chown(key, uid, uid)
        settings = {
            "UserKnownHostsFile": str(self.folder / "known_hosts"),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "HostKeyAlias": "server",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
        }
        given = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        return ("-F", "none", "-i", str(key), "-l", "root", *given)

    def shell(self, uid: int) -> str:
        """The command of `rsync -e`."""
        return shlex.join(("ssh", *self.options(uid)))


@contextlib.contextmanager
def ssh_server(place: LabFolder, node: str, address: str, port: int, folder: Path) -> Iterator[SshServer]:
    """Run a server until the end of the block; `folder` can be entered by the clients' users."""
    for name in ("host", "user"):
        command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        subprocess.run(command, check=True)
    key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"server {key}\n")
    (folder / "known_hosts").chmod(0o644)
    (folder / "sshd_config").write_text(
        f"ListenAddress {address}:{port}\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'user.pub'}\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where the server confines itself
    log = folder / "sshd.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*place.enter(node), "/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config")],
            stdout=said,
            stderr=said,
        )
    try:
        wait_for("sshd", lambda: "Server listening" in log.read_text() or process.poll() is not None, 20)
        assert process.poll() is None, log.read_text()
        yield SshServer(folder)
    finally:
        process.terminate()
        process.wait(10)
