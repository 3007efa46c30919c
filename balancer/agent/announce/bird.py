"""Speak BIRD's control protocol over its unix socket, as birdc does, to switch static protocols.

A reply is lines `NNNN-text` (more follow) or `NNNN text` (the last); lines that start with a space continue the
one before. Codes 0xxx end a success, 1xxx and 2xxx are data, 8xxx and 9xxx errors (BIRD 2, doc/reply_codes).
"""

import asyncio
import logging
from pathlib import Path

from balancer.agent.announce.announcement import Announcement
from runtime.files import replace_text

log = logging.getLogger(__name__)

_VISIT_TIMEOUT = 3.0
_LINE_LIMIT = 64 * 1024


class BirdError(Exception):
    """BIRD does not answer, or refuses a command."""


class BirdRefused(BirdError):
    """BIRD answered with an error."""


class Bird:
    """One BIRD, one connection per visit: BIRD may be restarted at any time.

    Two static protocols hold a route of the VIP: `protocol`, and `protocol`_shutdown, which is preferred and carries
    GRACEFUL_SHUTDOWN. A VIP with IPv4 and IPv6 has two pairs, their names separated by a comma. `configure` puts a
    protocol into the state that the configuration names, so the state is also written to a file that the
    configuration includes: otherwise each reload would withdraw the route.
    """

    def __init__(self, socket: Path, protocol: str, state_file: Path | None = None) -> None:
        self._socket = socket
        self._protocols = protocol.split(",")
        self._state_file = state_file

    async def set_announcement(self, announcement: Announcement) -> None:
        """Make BIRD announce the VIP this way; idempotent. Raises `BirdError`."""
        self._write_state_file(announcement is not Announcement.NONE)
        if announcement is Announcement.NONE:
            await self._switch_protocols("disable")
            await self._switch_last_choice("disable")
        elif announcement is Announcement.LAST_CHOICE:
            await self._switch_last_choice("enable")
        else:
            await self._switch_protocols("enable")
            await self._switch_last_choice("disable")

    async def is_announcing(self) -> bool:
        """Whether all protocols are up; the line of each reads `name type table state since`."""
        rows = [line.split() for line in await self.run_commands("show protocols")]
        up = {row[0] for row in rows if len(row) > 3 and row[3] == "up"}
        return up.issuperset(self._protocols)

    async def _switch_protocols(self, verb: str) -> None:
        """Switch every protocol, whatever becomes of the others. Raises `BirdError`."""
        refused: BirdRefused | None = None
        for protocol in self._protocols:
            try:
                await self.run_commands(f"{verb} {protocol}")
            except BirdRefused as error:
                refused = error
        if refused is not None:
            raise refused

    async def _switch_last_choice(self, verb: str) -> None:
        for protocol in self._protocols:
            try:
                await self.run_commands(f"{verb} {protocol}_shutdown")
            except BirdRefused as error:
                # a configuration without that protocol: the route is withdrawn without GRACEFUL_SHUTDOWN
                log.debug("no graceful shutdown", extra={"why": str(error)})

    def _write_state_file(self, announced: bool) -> None:
        if self._state_file is None:
            return
        text = f"disabled {'no' if announced else 'yes'};\n"
        try:
            if not self._state_file.exists() or self._state_file.read_text() != text:
                replace_text(
                    self._state_file, text, 0o644
                )  # BIRD runs as another user, and the content is no secret
        except OSError as error:
            raise BirdError(f"{self._state_file}: {error.strerror}") from error

    async def run_commands(self, *lines: str) -> list[str]:
        """Run commands in one visit and return the last reply's lines without codes."""
        reply: list[str] = []
        try:
            async with asyncio.timeout(_VISIT_TIMEOUT):
                reader, writer = await asyncio.open_unix_connection(self._socket, limit=_LINE_LIMIT)
                try:
                    await _read_reply(reader)  # the greeting
                    for line in lines:
                        writer.write(f"{line}\n".encode())
                        reply = await _read_reply(reader)
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError, EOFError) as error:
            raise BirdError(f"{self._socket}: {error or type(error).__name__}") from error
        return reply


async def _read_reply(reader: asyncio.StreamReader) -> list[str]:
    lines: list[str] = []
    while True:
        raw = await reader.readline()
        if not raw.endswith(b"\n"):
            raise EOFError("BIRD closed the connection")
        line = raw.decode(errors="replace").rstrip("\n")
        if line.startswith((" ", "+")):
            lines.append(line[1:])
            continue
        code, separator, text = line[:4], line[4:5], line[5:]
        if not code.isdigit() or separator not in (" ", "-", ""):
            raise ValueError(f"invalid reply of BIRD: {line!r}")
        lines.append(text)
        if code[0] in "89":
            raise BirdRefused(f"BIRD: {code} {text}")
        if separator != "-":
            return lines
