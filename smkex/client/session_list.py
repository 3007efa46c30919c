"""The path reports of this process's sessions at a unix socket, for `sennit sessions`.

Each session is a dict: the fields of its report, `host`, and `text` for people. The socket is in a directory that only
its user can enter; a connection to it gets one JSON list and ends.
"""

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

DIRECTORY_VARIABLE = "SENNIT_SESSIONS"
READ_TIMEOUT = 2.0  # seconds for one process to answer
LIST_LIMIT = 16 << 20  # bytes of one answer

Reports = Callable[[], list[dict[str, Any]]]


def sessions_directory() -> Path | None:
    """Return where this user's processes list their sessions; None where the system has no such place."""
    if given := os.environ.get(DIRECTORY_VARIABLE):
        return Path(given)
    if os.geteuid() == 0:
        return Path("/run/sennit/sessions")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "sennit" / "sessions" if runtime else None


class SessionList:
    """Publishes `reports` under the name of `program` until closed."""

    def __init__(self, program: str, reports: Reports) -> None:
        self._program, self._reports = program, reports
        self._path: Path | None = None
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. Raises OSError where the directory is not this user's own; without a directory does nothing."""
        folder = sessions_directory()
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _require_private(folder)
        self._path = folder / f"{self._program}-{os.getpid()}.sock"
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._answer, self._path)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(json.dumps(self._reports()).encode())
            await writer.drain()
        writer.close()


def read_session_lists() -> dict[str, list[dict[str, Any]]]:
    """Return the sessions of this user's processes by `PROGRAM-PID`; sockets of dead processes are removed."""
    folder = sessions_directory()
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.sock")) if folder is not None and folder.is_dir() else []:
        try:
            found[path.stem] = _read_list(path)
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except (OSError, ValueError):
            continue  # it is just ending
    return found


def _read_list(path: Path) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(READ_TIMEOUT)
        channel.connect(str(path))
        parts = bytearray()
        while data := channel.recv(1 << 16):
            parts += data
            if len(parts) > LIST_LIMIT:
                raise ValueError("too long")
    listed = json.loads(parts)
    if not isinstance(listed, list):
        raise ValueError("not a list")
    return listed


def _require_private(folder: Path) -> None:
    """Refuse a directory that others could write to or read. Raises OSError."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a directory of this user alone (mode 0700)")
