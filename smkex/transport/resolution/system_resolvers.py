"""The resolvers of this host for one interface: a relay's, systemd-resolved's, NetworkManager's, resolv.conf's."""

import asyncio
import ipaddress
import json
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from smkex.transport.resolution.resolv_conf import RESOLV_CONF, read_resolv_conf
from smkex.transport.resolution.resolver_address import InvalidResolver, ResolverAddress, ResolverKind
from smkex.transport.routes.paths import LOOPBACK_INDEX
from smkex.transport.routes.relay_paths import RelayPath, read_relay_paths

RESOLVED_FOLDER = Path("/run/systemd/resolve")
NETWORK_MANAGER_FOLDER = Path("/run/NetworkManager")
ASK_TIMEOUT = 2.0  # seconds for a daemon of this host
OUTPUT_LIMIT = 64 << 10  # bytes
ANSWER_LIFETIME = 5.0  # seconds that a daemon is not asked again: each question starts a program
INTERFACE_LIMIT = 64
_recent_answers: dict[str, tuple[float, list[ResolverAddress]]] = {}


async def find_system_resolvers(interface: str) -> list[ResolverAddress]:
    """Return the first source's that names any for the interface. Raises OSError with what to do where none does."""
    relay = read_relay_paths().get(interface)
    if relay is not None:
        return _read_relay_resolvers(relay)
    found = await _ask_daemons(interface)
    if found:
        return found
    on_this_host = []
    for address, zone in read_resolv_conf():
        if address.is_loopback and not _is_loopback(interface):
            on_this_host.append(str(address))
        elif zone in ("", interface):
            found.append(ResolverAddress(address))
    if found:
        return found
    reason = "names no resolver"
    if on_this_host:
        reason = f"names only {', '.join(on_this_host)}, on this host, which asks by any path"
    raise OSError(f"{RESOLV_CONF} {reason}; give --resolver {interface}=ADDRESS")


async def _ask_daemons(interface: str) -> list[ResolverAddress]:
    """Ask systemd-resolved, then NetworkManager; what one of them says counts for a few seconds."""
    now = time.monotonic()
    asked_at, known = _recent_answers.get(interface, (now - ANSWER_LIFETIME, []))
    if now - asked_at < ANSWER_LIFETIME:
        return known
    found = await _ask_resolved(interface) or await _ask_network_manager(interface)
    if len(_recent_answers) >= INTERFACE_LIMIT:
        _recent_answers.clear()
    if found:
        _recent_answers[interface] = (now, found)
    return found


def _read_relay_resolvers(path: RelayPath) -> list[ResolverAddress]:
    """Return those that the relay lets through, over TLS and HTTPS alone where there are such.

    Raises OSError where there are none, or one is invalid.
    """
    if not path.resolvers:
        raise OSError(
            f"relay {path.relay} lets no resolver through; give an address, or --resolver {path.interface}=ADDRESS of"
            " one that is among its prefixes"
        )
    try:
        found = [ResolverAddress.parse(one) for one in path.resolvers]
    except InvalidResolver as error:
        raise OSError(f"relay {path.relay}: {error}") from None
    return [one for one in found if one.protected] or found


def _is_loopback(interface: str) -> bool:
    try:
        return socket.if_nametoindex(interface) == LOOPBACK_INDEX
    except OSError:
        return False


async def _ask_resolved(interface: str) -> list[ResolverAddress]:
    """systemd-resolved's servers of a link, over TLS where the link must (`DNSOverTLS=yes`)."""
    if not RESOLVED_FOLDER.exists():
        return []
    try:
        link = _escape_bus_label(str(socket.if_nametoindex(interface)))
    except OSError:
        return []
    output = await _run_query(
        *("busctl", "--system", "--json=short", f"--timeout={ASK_TIMEOUT}", "get-property"),
        *("org.freedesktop.resolve1", f"/org/freedesktop/resolve1/link/{link}"),
        *("org.freedesktop.resolve1.Link", "DNSEx", "DNSOverTLS"),
    )
    try:
        servers, over_tls = (json.loads(line)["data"] for line in output.splitlines())
        return [_read_link_server(server, over_tls == "yes") for server in servers]
    except (ValueError, KeyError, TypeError):
        return []


def _read_link_server(server: Any, over_tls: bool) -> ResolverAddress:
    """Read one of DNSEx: family, address, port and server name. Raises ValueError, TypeError."""
    _, address, port, name = server
    kind = ResolverKind.TLS if over_tls else ResolverKind.PLAIN
    where = ipaddress.ip_address(bytes(address))
    return ResolverAddress(where, int(port) or kind.value[1], kind, str(name) if over_tls else "")


def _escape_bus_label(number: str) -> str:
    """A number as the last element of a D-Bus object path: its first digit is escaped."""
    return f"_{ord(number[0]):x}{number[1:]}"


async def _ask_network_manager(interface: str) -> list[ResolverAddress]:
    if not NETWORK_MANAGER_FOLDER.exists():
        return []
    output = await _run_query(
        *("nmcli", "--wait", "2", "--escape", "no", "--get-values", "IP4.DNS,IP6.DNS"),
        *("device", "show", interface),
    )
    found = []
    for word in output.replace("|", " ").split():
        try:
            found.append(ResolverAddress(ipaddress.ip_address(word)))
        except ValueError:
            continue
    return found


async def _run_query(*command: str) -> str:
    """Return what a program prints, nothing where it is missing, fails or takes too long."""
    if shutil.which(command[0]) is None:
        return ""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(ASK_TIMEOUT):
            output = await process.stdout.read(OUTPUT_LIMIT)
            while more := await process.stdout.read(OUTPUT_LIMIT):
                output = (output + more)[:OUTPUT_LIMIT]
            status = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        return ""
    return output.decode("utf-8", "replace") if status == 0 else ""
