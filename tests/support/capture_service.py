"""`sennit capture` on the phone of the lab, and programs of users under it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capture.cgroup import ControlGroup, open_hierarchy
from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB
from lab.wait import wait_for

PLAIN_USER = 65534
STRANGER = 65533  # a user id that no package has


@contextlib.contextmanager
def mounted_bpffs(folder: Path) -> Iterator[Path]:
    """Mount a BPF file system of a test's own."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def own_group(name: str) -> Iterator[ControlGroup]:
    """A control group of a test's own below the root; what is left in it is killed."""
    group = ControlGroup.make_below(open_hierarchy(), f"sennit-test-{os.getpid()}-{name}")
    try:
        yield group
    finally:
        group.kill_processes()
        wait_for("the group to be empty", lambda: not group.is_populated(), 20)
        group.remove()


@dataclass
class CaptureService:
    """The service's process and places; start it with `start`, and again after its end."""

    place: LabFolder
    folder: Path
    pins: Path
    hosts: tuple[str, ...]
    options: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()  # of its command
    process: "subprocess.Popen[bytes] | None" = None
    notifications: socket.socket | None = None

    @property
    def socket_path(self) -> Path:
        return self.folder / "socket"

    @property
    def log(self) -> Path:
        return self.folder / "service.log"

    @property
    def lab(self) -> NamespaceLab:
        return NamespaceLab(self.place, LAB)

    def start(self, *, group: ControlGroup | None = None) -> None:
        """Start it, in `group` where one is given, and wait until it serves."""
        given = [word for host in self.hosts for word in ("--host", host)]
        places = ("--socket", str(self.socket_path), "--pins", str(self.pins / "capture"))
        command = (
            "sennit",
            "capture",
            "--verbose",
            "--json",
            "--timeout",
            "5",
            *places,
            *given,
            *self.options,
        )

        def join() -> None:
            if group is not None:
                os.write(group.join_descriptor, b"0\n")

        # systemd's way to hear that a service is ready, by a socket of the test's own
        if self.notifications is None:
            self.notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.notifications.bind(str(self.folder / "notify"))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.lab.command("phone", *self.prefix, *command),
                stdout=log,
                stderr=log,
                preexec_fn=join,
                env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify")},
            )
        self._wait_ready()

    def _wait_ready(self) -> None:
        assert self.notifications is not None
        self.notifications.settimeout(0.1)

        def is_ready() -> bool:
            assert self.process is not None
            assert self.notifications is not None
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(TimeoutError):
                return self.notifications.recv(256) == b"READY=1"
            return False

        wait_for("the capture service to be ready", is_ready, 60)

    def close(self) -> None:
        """Stop it where it runs."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        if self.notifications is not None:
            self.notifications.close()

    def stop(self) -> None:
        """Stop it as systemd does."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log.read_text()

    def kill(self) -> None:
        """Kill the keeper; its child ends with it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def reload(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def start_program(
        self,
        *program: str,
        uid: int = PLAIN_USER,
        group: ControlGroup | None = None,
        node: str = "phone",
        environment: dict[str, str] | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start a program of a user on the phone, in a control group where one is given."""

        def join() -> None:
            if group is not None:
                os.write(group.join_descriptor, b"0\n")

        as_user = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups") if uid else ()
        home = self.folder / f"home-{uid}"
        home.mkdir(exist_ok=True)
        os.chown(home, uid, uid)
        command = self.lab.command(node, *as_user, *program)
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=join,
            cwd=home,
            env={
                **os.environ,
                **(environment or {}),
                "HOME": str(home),
                "SENNIT_CAPTURE_SOCKET": str(self.socket_path),
            },
        )

    def run_program(
        self, *program: str, timeout: float = 60, **how: Any
    ) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        with self.start_program(*program, **how) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(program, process.returncode, out.decode(), err.decode())

    def run_captured(
        self, *program: str, hosts: Sequence[str] = (), **how: Any
    ) -> "subprocess.CompletedProcess[str]":
        """Run it as a user does: `sennit run -- PROGRAM`."""
        given = [word for host in hosts for word in ("--host", host)]
        return self.run_program("sennit", "run", "--through-service", *given, "--", *program, **how)

    def listed_session(self, host: str, uid: int = PLAIN_USER) -> dict[str, Any]:
        """Wait for a session to a host, and return what `sennit sessions --json` has of the newest."""
        found: list[dict[str, Any]] = []

        def is_listed() -> bool:
            said = self.run_program("sennit", "sessions", "--json", uid=uid)
            assert said.returncode == 0, said.stderr
            found[:] = [one for one in json.loads(said.stdout) if one["host"] == host]
            return bool(found)

        wait_for(f"a session to {host}", is_listed, 60)
        return found[-1]
