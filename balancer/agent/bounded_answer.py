"""Read an answer of a daemon that may be hostile: never encoded, never more than a limit.

Every second an agent asks its edge and its peers, by a new connection each: httpx takes 2 to 3 ms of the processor for
that, h11 alone a tenth.
"""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11

from node.state.strict_json import parse_strictly

READ_BYTES = 65_536
HEAD_BYTES = 16_384


class NotListening(Exception):
    """Nothing accepts connections there."""


class NoAnswer(Exception):
    """The connection was lost, or what came is no HTTP."""


async def fetch_object(url: str, limit: int, unix_socket: Path | None = None) -> dict[str, Any]:
    """Return the JSON object at an http URL, or below it at a unix socket.

    An encoding that was not asked for is refused, so that no answer grows here. Raises `NotListening`, `NoAnswer`, and
    ValueError for anything else. The time is the caller's to limit.
    """
    parts = urlsplit(url)
    try:
        if unix_socket is not None:
            reader, writer = await asyncio.open_unix_connection(unix_socket)
        else:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    except OSError as error:
        raise NotListening(str(error)) from error
    try:
        body = await _read_body(reader, writer, parts.netloc, parts.path, limit)
    except (OSError, h11.ProtocolError) as error:
        raise NoAnswer(str(error)) from error
    finally:
        writer.close()
    try:
        value = parse_strictly(body.decode())
    except RecursionError:
        raise ValueError("the answer is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("the answer is no object")
    return value


async def _read_body(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, target: str, limit: int
) -> bytes:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
    fields = [("host", host), ("accept-encoding", "identity"), ("connection", "close")]
    writer.write(http.send(h11.Request(method="GET", target=target, headers=fields)) or b"")
    writer.write(http.send(h11.EndOfMessage()) or b"")
    body = bytearray()
    while True:
        event = http.next_event()
        match event:
            case h11.NEED_DATA:
                http.receive_data(await reader.read(READ_BYTES))
            case h11.Response():
                _refuse_encoding(event)
            case h11.Data():
                body += event.data
                if len(body) > limit:
                    raise ValueError(f"the answer exceeds {limit} bytes")
            case h11.EndOfMessage():
                return bytes(body)
            case h11.ConnectionClosed():
                raise NoAnswer("the connection was closed")


def _refuse_encoding(response: h11.Response) -> None:
    for name, value in response.headers:
        if name == b"content-encoding" and value.lower() != b"identity":
            raise ValueError("the answer is encoded")
