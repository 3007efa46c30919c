"""This machine's own system, booted by systemd as PID 1 in a container; what is written there is gone at the end."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "packaging" / "systemd"
SENNIT = "/opt/sennit/current/bin/sennit"
BOOT_TIMEOUT = 120.0  # seconds


def release_files(folder: Path) -> dict[str, Path]:
    """What of a release a container needs whatever units it has: the command, from the work tree, and users."""
    program = folder / "sennit"
    start = "import sys; from sennit.main import main; sys.argv[0] = 'sennit'; sys.exit(main())"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH=/opt/sennit/source exec /opt/sennit/venv/bin/python -c "{start}" "$@"\n'
    )
    program.chmod(0o755)
    return {
        SENNIT: program,
        "/opt/sennit/source": ROOT,
        "/opt/sennit/venv": (ROOT / ".venv").resolve(),
        "/etc/sysusers.d/sennit.conf": UNITS / "sysusers.conf",
        "/etc/tmpfiles.d/sennit.conf": UNITS / "tmpfiles.conf",
    }


class SystemdContainer:
    """A booted container. `systemctl` and `run` act in it; `files` are given by their place in it."""

    def __init__(self, folder: Path, name: str, files: Mapping[str, Path]) -> None:
        self._folder, self._name, self._files = folder, name, dict(files)
        self._process: subprocess.Popen[bytes] | None = None
        self.leader = 0

    @property
    def console(self) -> Path:
        return self._folder / "console.log"

    def start(self) -> None:
        """Boot, and wait until no job is left."""
        root = self._folder / "root"
        root.mkdir()
        # systemd-nspawn refuses / itself; the mount is seen by this process and its children alone
        mounted = 'mount --bind / "$0" && exec "$@"'
        command = [
            *("setpriv", "--pdeathsig", "TERM"),  # it must not outlive who started it
            *("unshare", "--mount", "sh", "-c", mounted, str(root)),
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--boot"),
            *(f"--directory={root}", "--volatile=overlay", f"--machine={self._name}", "--private-network"),
            *("--capability=all", "--system-call-filter=bpf perf_event_open"),
            *(f"--bind-ro={file}:{where}" for where, file in self._files.items()),
            "systemd.unit=basic.target",
        ]
        with self.console.open("w") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "SYSTEMD_NSPAWN_LOCK": "0", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + BOOT_TIMEOUT
        while not self._has_booted():
            assert self._process.poll() is None, self.console.read_text()
            assert time.monotonic() < deadline, self.console.read_text()
            time.sleep(0.2)

    def _has_booted(self) -> bool:
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children:
            return False
        self.leader = int(children[0])
        said = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return said in ("running", "degraded")

    def enter(self, *command: str) -> list[str]:
        """A command in the container, outside of its units."""
        return [
            "nsenter",
            f"--target={self.leader}",
            "-m",
            "-u",
            "-i",
            "-n",
            "-p",
            "-C",
            "-r",
            "-w",
            "--",
            *command,
        ]

    def run(
        self, *command: str, check: bool = True, timeout: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(self.enter(*command), capture_output=True, text=True, timeout=timeout)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{self.journal()}"
        return done

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.run("systemctl", *words, check=check).stdout.strip()

    def in_unit(self, *command: str, options: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
        """Run a command in a unit of its own, as `systemd-run --pipe` does."""
        return self.run("systemd-run", "--quiet", "--pipe", "--wait", *options, *command, check=False)

    def journal(self) -> str:
        done = subprocess.run(
            self.enter("journalctl", "--no-pager", "--lines=80"), capture_output=True, text=True, timeout=30
        )
        return done.stdout

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def booted(folder: Path, name: str, files: Mapping[str, Path]) -> Iterator[SystemdContainer]:
    container = SystemdContainer(folder, name, files)
    try:
        container.start()
        yield container
    finally:
        container.stop()
