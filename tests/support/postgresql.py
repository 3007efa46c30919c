"""A PostgreSQL cluster of one's own in a temporary folder: Debian's binaries, an unprivileged user, a unix socket."""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

BINARIES = Path("/usr/lib/postgresql")
FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
)  # a test's database need not outlive the machine


def binaries() -> Path | None:
    """The newest server that is installed."""
    found = sorted(BINARIES.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _user() -> str:
    """The server refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


class Cluster:
    """A running server; `url` names a database of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def url(self, database: str) -> str:
        return f"postgresql://{_user()}@/{database}?host={self.folder}"

    def database(self) -> str:
        """Make an empty database and return its URL."""
        self._count += 1
        name = f"control{self._count}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


@contextlib.contextmanager
def cluster(settings: tuple[str, ...] = FAST) -> Iterator[Cluster]:
    """Run a server until the end of the block; with no settings it is as durable as Debian's."""
    found, user = binaries(), _user()
    assert found is not None, "no PostgreSQL server is installed"
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    process = None
    try:
        shutil.chown(folder, user)
        run = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        data = folder / "data"
        initdb = [found / "initdb", "-D", data, "-U", user, "--no-sync", "-A", "trust", "-E", "UTF8"]
        subprocess.run(initdb, check=True, **run)  # type: ignore[call-overload]
        options = [word for setting in (*settings, "listen_addresses=") for word in ("-c", setting)]
        server = [found / "postgres", "-D", data, "-k", folder, "-c", "max_connections=100", *options]
        process = subprocess.Popen(server, preexec_fn=_die_with_the_tests, **run)  # type: ignore[call-overload]
        made = Cluster(folder)
        _wait(made, process)
        yield made
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _die_with_the_tests() -> None:
    """A test run that is killed leaves no server behind (prctl, PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGQUIT))


def _wait(made: Cluster, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(made.url("postgres"), connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
