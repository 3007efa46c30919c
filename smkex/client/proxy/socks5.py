"""SOCKS 5 (RFC 1928), the command CONNECT, without or with a name and password (RFC 1929)."""

import asyncio
import errno
import ipaddress
from enum import IntEnum

from smkex.client.proxy.credentials import Credentials
from smkex.client.proxy.rules import RequestRefused
from smkex.core.errors import DeadlineMissed, SmkexError
from smkex.transport.routes.host_name import InvalidHostName

VERSION = 5
_NO_AUTHENTICATION, _NAME_AND_PASSWORD, _NOTHING_ACCEPTABLE = 0, 2, 0xFF
_CONNECT = 1
_V4, _NAME, _V6 = 1, 3, 4


class Reply(IntEnum):
    """RFC 1928 section 6."""

    SUCCEEDED = 0
    GENERAL_FAILURE = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    CONNECTION_REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_NOT_SUPPORTED = 8


class SocksFailed(Exception):
    """The request was refused, or is not SOCKS 5."""


async def negotiate_target(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, credentials: Credentials | None
) -> tuple[str, int]:
    """Return the requested (host, port). The version byte is already read.

    Raises `SocksFailed` after the reply was sent, asyncio.IncompleteReadError if the program disconnects.
    """
    await _agree_on_method(reader, writer, credentials)
    version, command, _, kind = await reader.readexactly(4)
    if version != VERSION:
        raise SocksFailed(f"a request of version {version}")
    if kind == _V4:
        host = str(ipaddress.IPv4Address(await reader.readexactly(4)))
    elif kind == _V6:
        host = str(ipaddress.IPv6Address(await reader.readexactly(16)))
    elif kind == _NAME:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("utf-8", "replace")
    else:
        raise await _refuse_request(writer, Reply.ADDRESS_NOT_SUPPORTED, f"an address of type {kind}")
    port = int.from_bytes(await reader.readexactly(2), "big")
    if command != _CONNECT:
        raise await _refuse_request(writer, Reply.COMMAND_NOT_SUPPORTED, f"command {command}")
    return host, port


async def send_reply(writer: asyncio.StreamWriter, reply: Reply) -> None:
    # the bound address is not disclosed: all zero, as most servers answer
    writer.write(bytes([VERSION, reply, 0, _V4]) + bytes(6))
    await writer.drain()


def reply_for(error: Exception) -> Reply:
    """Return the SOCKS reply code; the reason is in the proxy's log."""
    match error:
        case RequestRefused():
            return Reply.NOT_ALLOWED
        case DeadlineMissed() | TimeoutError() | InvalidHostName():
            return Reply.HOST_UNREACHABLE
        case SmkexError():
            return Reply.GENERAL_FAILURE
        case ConnectionRefusedError():
            return Reply.CONNECTION_REFUSED
        case OSError(errno=errno.ENETUNREACH):
            return Reply.NETWORK_UNREACHABLE
        case OSError():
            return Reply.HOST_UNREACHABLE
        case _:
            return Reply.GENERAL_FAILURE


async def _agree_on_method(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, credentials: Credentials | None
) -> None:
    (count,) = await reader.readexactly(1)
    offered = await reader.readexactly(count)
    wanted = _NO_AUTHENTICATION if credentials is None else _NAME_AND_PASSWORD
    if wanted not in offered:
        writer.write(bytes([VERSION, _NOTHING_ACCEPTABLE]))
        await writer.drain()
        raise SocksFailed(
            "a name and password are needed" if credentials else "the program requires a password"
        )
    writer.write(bytes([VERSION, wanted]))
    await writer.drain()
    if credentials is not None:
        await _check_credentials(reader, writer, credentials)


async def _check_credentials(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, credentials: Credentials
) -> None:
    _, length = await reader.readexactly(2)
    name = await reader.readexactly(length)
    (length,) = await reader.readexactly(1)
    good = credentials.match(name, await reader.readexactly(length))
    writer.write(bytes([1, 0 if good else 1]))
    await writer.drain()
    if not good:
        raise SocksFailed("wrong name or password")


async def _refuse_request(writer: asyncio.StreamWriter, reply: Reply, text: str) -> SocksFailed:
    await send_reply(writer, reply)
    return SocksFailed(text)
