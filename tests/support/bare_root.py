"""A bare root of a distribution, made by mmdebstrap: the machine of a newcomer, without a kernel of its own.

Commands run in namespaces for mounts and processes, on the kernel and the network of this machine, with what a server
mounts at its start: proc, sysfs, control groups, a bpffs.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
AUTHORITIES = Path("usr/local/share/ca-certificates")  # what this machine's administrator trusts besides
# settings of this machine that lead to its package registries
WAY_OUT = ("PIP_CERT", "PIP_DEFAULT_TIMEOUT", "PIP_INDEX_URL", "http_proxy", "https_proxy", "no_proxy")
KILLED_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
SYSTEM_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
START = r"""
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t bpf bpf sys/fs/bpf
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --bind /dev dev
mount -t devpts -o ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
pivot_root . mnt
umount -l mnt
echo started
while :; do sleep 3600; done
"""


class RootFailed(Exception):
    """The root could not be made; says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command in a root did: `said` is both of its outputs."""

    status: int
    seconds: float
    said: str


class BareRoot:
    """A root's folder, and the process whose namespaces its commands enter: what one leaves running, the next finds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._first: subprocess.Popen[str] | None = None

    def __enter__(self) -> "BareRoot":
        # as process 1 the shell reaps what daemons leave, and with it ends all that runs in its namespaces
        command = [
            *KILLED_WITH_US,
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            START,
            "sh",
            self.folder,
        ]
        self._first = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._first.stdout is not None
        if self._first.stdout.readline() != "started\n":
            raise RootFailed(f"{self.folder} did not start")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._first is not None
        self._first.kill()
        self._first.wait()

    def run(self, command: str, seconds: float, folder: str = "/root", log: Path | None = None) -> Outcome:
        """Run a shell command as root, to its end or for so many seconds."""
        assert self._first is not None
        pid = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text().split()[0]
        settings = [f"{name}={value}" for name, value in os.environ.items() if name in WAY_OUT]
        enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--root", f"--wdns={folder}"]
        inside = ["env", "-i", "HOME=/root", "LANG=C.UTF-8", SYSTEM_PATH, *settings, "sh", "-ec", command]
        started = time.monotonic()
        with log.open("w+") if log else tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                [*enter, *inside], stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                status = process.wait()
            said.seek(0)
            return Outcome(status, time.monotonic() - started, said.read())


@contextlib.contextmanager
def bare_root(suite: str, *options: str) -> Iterator[BareRoot]:
    """Make the root, half a minute, and remove it in the end. Raises `RootFailed`."""
    with tempfile.TemporaryDirectory(prefix=f"sennit-{suite}-") as made:
        folder = Path(made) / "root"
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", *options]
        done = subprocess.run([*command, suite, folder], capture_output=True, text=True)
        if done.returncode:
            raise RootFailed(f"no root of {suite}: {done.stderr.strip()[-1000:]}")
        _lead_to_registries(folder)
        _offer_repository(folder)
        with BareRoot(folder) as root:
            yield root


def _lead_to_registries(folder: Path) -> None:
    """Whatever this machine needs to reach its package registries, the root needs too."""
    (folder / "etc" / "resolv.conf").write_text(Path("/etc/resolv.conf").read_text())
    for certificate in (Path("/") / AUTHORITIES).glob("*.crt"):
        shutil.copy(certificate, folder / AUTHORITIES)
    subprocess.run(["chroot", folder, "update-ca-certificates"], check=True, capture_output=True)


def _offer_repository(folder: Path) -> None:
    """The address of README leads to a clone of HEAD."""
    served = folder / "srv" / "sennit.git"
    subprocess.run(["git", "clone", "-q", "--bare", "--no-hardlinks", ROOT, served], check=True)
    (folder / "etc" / "gitconfig").write_text(
        '[safe]\n\tdirectory = *\n[url "/srv/sennit.git"]\n\tinsteadOf = https://sennit.example/sennit.git\n'
    )
