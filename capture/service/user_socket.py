"""What the service answers at its unix socket: one request a connection, a line of JSON.

    {"command": "join", "hosts": [...], "namespace": INODE}
    {"command": "sessions"}

`join` puts the process that connected under capture; the answer is {"joined": true}, or {"error": ..., "hint": ...},
and then a line for each event of its connections: {"event": {...}, "text": ...}. `sessions` is answered with the list
of the user's sessions.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from capture.names import CapturedNames
from capture.service.captured_programs import CapturedPrograms
from capture.service.peer import peer_user
from capture.service.settings import CaptureSettings
from smkex.client.events import Event, as_dict
from smkex.transport.routes.host_name import HostName, InvalidHostName

REQUEST_TIMEOUT = 10.0  # seconds
BACKLOG_LIMIT = 1 << 20  # bytes of events that a command has not read
SPARE = 16  # connections of a user beside those of programs, for `sennit sessions`

Join = Callable[[socket.socket], Awaitable[dict[str, Any]]]


class UserSocket:
    """Serves users; `join` has the keeper move the process at the other end of a socket."""

    def __init__(
        self, settings: CaptureSettings, names: CapturedNames, programs: CapturedPrograms, join: Join
    ) -> None:
        self._settings, self._names, self._programs, self._join = settings, names, programs, join
        self._open: Counter[int] = Counter()

    async def serve_user(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        _, uid = peer_user(sock)
        self._open[uid] += 1
        try:
            with contextlib.suppress(OSError, TimeoutError):
                if self._open[uid] > self._settings.user_programs + SPARE:
                    _write_line(writer, {"error": f"user {uid} has too many connections here", "hint": ""})
                else:
                    await self._serve_request(reader, writer, sock, uid)
                await writer.drain()
        finally:
            self._open[uid] -= 1
            if not self._open[uid]:
                del self._open[uid]
            writer.close()

    async def _serve_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sock: socket.socket, uid: int
    ) -> None:
        """Raises OSError, TimeoutError."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                request = json.loads(await reader.readline())
        except (ValueError, RecursionError):  # readline's for a line that is too long, too
            _write_line(writer, {"error": "not a line of JSON", "hint": "is this the same release?"})
            return
        command = request.get("command") if isinstance(request, dict) else None
        if command == "sessions":
            _write_line(writer, self._programs.list_sessions(uid))
        elif command == "join":
            await self._serve_join(request, reader, writer, sock)
        else:
            _write_line(writer, {"error": f"no such command: {command}", "hint": "is this the same release?"})

    async def _serve_join(
        self,
        request: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sock: socket.socket,
    ) -> None:
        answer = self._refuse_request(request) or await self._join(sock)
        group = answer.get("group")
        if group is None:
            _write_line(writer, answer)
            return
        self._programs.observers[group] = lambda event: _write_event(writer, event)
        try:
            _write_line(writer, {"joined": True})
            await writer.drain()
            await reader.read()  # until the command has ended
        finally:
            del self._programs.observers[group]

    def _refuse_request(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return why a program cannot be captured as it asks; None where it can."""
        if request.get("namespace") != os.stat("/proc/self/ns/net").st_ino:
            return {
                "error": "the program is in another network namespace than the capture service",
                "hint": "the service captures the programs of its own network namespace",
            }
        hosts = request.get("hosts")
        missing = [host for host in hosts if not self._covers(host)] if isinstance(hosts, list) else [hosts]
        if missing:
            return {
                "error": f"the capture service does not capture {missing[0]}",
                "hint": "an administrator adds it to its hosts, and reloads it",
            }
        return None

    def _covers(self, host: object) -> bool:
        try:
            return isinstance(host, str) and self._names.includes(HostName.parse(host).text)
        except InvalidHostName:
            return False


def _write_line(writer: asyncio.StreamWriter, value: object) -> None:
    writer.write(json.dumps(value).encode() + b"\n")


def _write_event(writer: asyncio.StreamWriter, event: Event) -> None:
    """Write an event, unless the command does not read."""
    if writer.transport.get_write_buffer_size() < BACKLOG_LIMIT:
        _write_line(writer, {"event": as_dict(event), "text": str(event)})
