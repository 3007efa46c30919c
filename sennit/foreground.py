"""What commands that serve until they are stopped have in common."""

import asyncio
import ipaddress
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from smkex.client.session_list import Reports

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


async def wait_for_stop() -> None:
    """Wait for SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


@asynccontextmanager
async def listed_sessions(program: str, reports: "Reports") -> AsyncIterator[None]:
    """List the sessions of this process for `sennit sessions`; where that cannot be, say so and go on."""
    from smkex.client.session_list import SessionList

    sessions = SessionList(program, reports)
    try:
        await sessions.open()
    except OSError as error:
        print(f"`sennit sessions` will not list this process: {error}", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        sessions.close()


def parse_address_and_port(option: str, text: str) -> tuple[IpAddress, int]:
    """Parse ADDRESS:PORT. Raises `CommandError`."""
    host, _, port = text.rpartition(":")
    try:
        return ipaddress.ip_address(host.strip("[]")), int(port)
    except ValueError:
        raise CommandError(
            f"{option} {text}: not ADDRESS:PORT",
            hint="as 127.0.0.1:1080 or [::1]:1080",
            status=ExitStatus.USAGE,
        ) from None


def parse_host_and_port(option: str, text: str) -> tuple[str, int]:
    """Parse HOST:PORT or [V6]:PORT. Raises `CommandError`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise CommandError(
            f"{option} {text}: not HOST:PORT", hint="as 127.0.0.1:5432", status=ExitStatus.USAGE
        )
    return host.strip("[]"), int(port)
