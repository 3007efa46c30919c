"""Speak BIRD's control protocol over its unix socket, as birdc does, to switch one static protocol.

A reply is lines `NNNN-text` (more follow) or `NNNN text` (the last); lines that start with a space continue the
one before. Codes 0xxx end a success, 1xxx and 2xxx are data, 8xxx and 9xxx errors (BIRD 2, doc/reply_codes).
"""

import asyncio
from pathlib import Path

_TIMEOUT = 3.0
_LIMIT = 64 * 1024


class BirdError(Exception):
    """BIRD is not there, or refuses."""


class Bird:
    """One BIRD, one connection a command: BIRD may be restarted at any time."""

    def __init__(self, socket: Path, protocol: str) -> None:
        self._socket = socket
        self._protocol = protocol

    async def announce(self) -> None:
        """Enable the protocol that holds the VIP's route; nothing where it is enabled."""
        await self.command(f"enable {self._protocol}")

    async def withdraw(self) -> None:
        """Disable the protocol that holds the VIP's route; nothing where it is disabled."""
        await self.command(f"disable {self._protocol}")

    async def is_announcing(self) -> bool:
        """Whether the protocol is up; its line reads `name type table state since`."""
        rows = [line.split() for line in await self.command(f"show protocols {self._protocol}")]
        return any(row[0] == self._protocol and row[3] == "up" for row in rows if len(row) > 3)

    async def command(self, line: str) -> list[str]:
        """Run one command and return its reply's lines without codes."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                reader, writer = await asyncio.open_unix_connection(self._socket, limit=_LIMIT)
                try:
                    await _reply(reader)  # the greeting
                    writer.write(f"{line}\n".encode())
                    return await _reply(reader)
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError, EOFError) as error:
            raise BirdError(f"{self._socket}: {error or type(error).__name__}") from error


async def _reply(reader: asyncio.StreamReader) -> list[str]:
    lines: list[str] = []
    while True:
        raw = await reader.readline()
        if not raw.endswith(b"\n"):
            raise EOFError("BIRD hung up")
        line = raw.decode(errors="replace").rstrip("\n")
        if line.startswith((" ", "+")):
            lines.append(line[1:])
            continue
        code, separator, text = line[:4], line[4:5], line[5:]
        if not code.isdigit() or separator not in (" ", "-", ""):
            raise ValueError(f"not a reply of BIRD: {line!r}")
        lines.append(text)
        if code[0] in "89":
            raise BirdError(f"BIRD: {code} {text}")
        if separator != "-":
            return lines
