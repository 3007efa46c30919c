"""Refusal of TLS inside a session that carries HTTP: no TLS server would answer there."""

from collections.abc import Awaitable, Callable

from smkex.transport.relay import Streams

_TLS_HANDSHAKE = b"\x16"
_TLS_ALERT = bytes([21, 3, 3, 0, 2, 2, 49])  # fatal, access_denied: the program says "TLS" and no more


class TlsInside(Exception):
    """The program started TLS in a session, where no TLS server answers."""

    hint = "use http://: the session is the protection"


def refuse_tls(near: Streams) -> Callable[[bytes], Awaitable[None]]:
    """Return a check of a program's first bytes, which answers a TLS handshake with an alert and raises."""

    async def check_first(data: bytes) -> None:
        if data.startswith(_TLS_HANDSHAKE):
            near.writer.write(_TLS_ALERT)
            await near.close()
            raise TlsInside("https inside a session")

    return check_first
