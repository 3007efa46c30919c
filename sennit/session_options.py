"""Session options of `get` and `proxy`, and the `ConnectOptions` made of them."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from smkex.client.as_table import AsTable
    from smkex.client.edge_cache import EdgeCache
    from smkex.client.options import ConnectOptions
    from smkex.client.recording.event_log import EventLog
    from smkex.client.recording.key_log import KeyLog
    from smkex.core.wire.named_group import NamedGroup


def add_session_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sessions")
    group.add_argument(
        "--path", action="append", metavar="INTERFACE", help="interface of a path; give it twice"
    )
    group.add_argument(
        "--resolver",
        action="append",
        metavar="INTERFACE=RESOLVER",
        help="resolver for names on a path: ADDRESS, tls://ADDRESS#NAME, https://ADDRESS/dns-query#NAME, or with"
        " #sha256//PIN of its public key (or SENNIT_RESOLVERS, comma-separated; else the interface's own by"
        " systemd-resolved or NetworkManager, else /etc/resolv.conf)",
    )
    group.add_argument("--transport", choices=("tcp", "mptcp"), default="tcp")
    group.add_argument(
        "--mode",
        choices=("opportunistic", "tofu", "mtls"),
        help="offer this mode only (default: tofu and opportunistic; only tofu once a fleet key is known)",
    )
    group.add_argument(
        "--kex",
        type=_parse_groups,
        default="x25519mlkem768,x25519",
        metavar="GROUP[,GROUP]",
        help="key exchanges to offer: x25519mlkem768 (post-quantum hybrid), x25519 (default: both)",
    )
    group.add_argument("--ca", type=Path, metavar="FILE", help="authorities of mode mtls (the system's)")
    group.add_argument(
        "--known-hosts", type=Path, metavar="FILE", help="remembered fleet keys, instead of the user's own"
    )
    group.add_argument(
        "--edge-cache",
        metavar="FILE",
        help="remembered edge ids, instead of the user's own; `none` for none (or SENNIT_EDGE_CACHE)",
    )
    group.add_argument(
        "--scheduler",
        choices=("lowest-latency", "aggregate", "redundant"),
        default="lowest-latency",
        help="how records are spread over the paths of transport tcp (lowest-latency)",
    )
    group.add_argument(
        "--id-port-base",
        type=int,
        help="first port of the locators (as the name's records state, else 10000)",
    )
    group.add_argument(
        "--locator",
        choices=("port", "address"),
        help="where the CDN's addresses carry edge ids (as the name's records state; else IPv4: in the port, IPv6: as"
        " the edge says)",
    )
    group.add_argument(
        "--key-log",
        type=Path,
        metavar="FILE",
        help="append the session's keys to FILE, to open recordings with",
    )
    group.add_argument(
        "--qlog",
        type=Path,
        metavar="FILE",
        help="append events of sessions and paths to FILE, in the style of qlog",
    )
    group.add_argument(
        "--as-table",
        type=Path,
        metavar="FILE",
        help="prefixes and their ASes (pfx2as), for the path report and --strict-paths",
    )
    group.add_argument("--timeout", type=float, default=10.0, help="seconds for the key exchange (10)")
    group.add_argument(
        "--strict-paths",
        action="store_true",
        help="refuse two paths with one ingress edge, address prefix, or, by --as-table, AS",
    )
    group.add_argument(
        "--strict",
        action="store_true",
        help="end the session when a join over a third path shows that another end may hold its keys",
    )
    group.add_argument(
        "--allow-shared-path", action="store_true", help="accept two paths over one interface or address"
    )


def connect_options(options: argparse.Namespace) -> "ConnectOptions":
    """Return the options of `smkex.connect`. Raises `CommandError`."""
    from smkex.client.known_hosts import KnownHosts
    from smkex.client.options import ConnectOptions
    from smkex.core.session.path_scheduler import Scheduler
    from smkex.core.wire.messages import LocatorKind, Mode

    return ConnectOptions(
        paths=options.path,
        transport=options.transport,
        id_port_base=options.id_port_base,
        locator=LocatorKind[options.locator.upper()] if options.locator else None,
        resolvers=_parse_resolvers(options),
        strict_paths=options.strict_paths,
        strict=options.strict,
        allow_shared_path=options.allow_shared_path,
        scheduler=Scheduler[options.scheduler.upper().replace("-", "_")],
        mode=Mode[options.mode.upper()] if options.mode else None,
        kex=options.kex,
        known_hosts=KnownHosts(options.known_hosts) if options.known_hosts else KnownHosts.open_default(),
        cache=_open_edge_cache(options.edge_cache),
        authorities=options.ca,
        key_log=_open_key_log(options.key_log),
        event_log=_open_event_log(options.qlog),
        as_table=_read_as_table(options.as_table),
        timeout=options.timeout,
    )


def _parse_groups(text: str) -> "tuple[NamedGroup, ...]":
    """Parse --kex. Raises `argparse.ArgumentTypeError`."""
    from smkex.core.wire.named_group import parse_groups

    try:
        return parse_groups(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _read_as_table(path: Path | None) -> "AsTable | None":
    """Raises `CommandError`."""
    from smkex.client.as_table import AsTable, InvalidAsTable

    try:
        return AsTable.read(path) if path is not None else None
    except OSError as error:
        raise CommandError(f"--as-table {path}: {error.strerror}") from None
    except InvalidAsTable as error:
        raise CommandError(
            f"--as-table {error}", hint="lines as `192.0.2.0/24 64500`, or a pfx2as file, uncompressed"
        ) from None


def _open_key_log(path: Path | None) -> "KeyLog | None":
    """Raises `CommandError`."""
    from smkex.client.recording.key_log import KeyLog

    try:
        return KeyLog(path) if path is not None else None
    except OSError as error:
        raise CommandError(f"--key-log {path}: {error.strerror}") from None


def _open_event_log(path: Path | None) -> "EventLog | None":
    """Raises `CommandError`."""
    from smkex.client.recording.event_log import EventLog

    try:
        return EventLog(path) if path is not None else None
    except OSError as error:
        raise CommandError(f"--qlog {path}: {error.strerror}") from None


def _open_edge_cache(given: str | None) -> "EdgeCache":
    from smkex.client.edge_cache import EdgeCache, EdgeCacheFile

    if given is None:
        return EdgeCacheFile.open_default() or EdgeCache()
    return EdgeCache() if given == "none" else EdgeCacheFile(Path(given))


def _parse_resolvers(options: argparse.Namespace) -> dict[str, str]:
    from smkex.transport.resolution.resolver_address import InvalidResolver, ResolverAddress

    given = options.resolver or os.environ.get("SENNIT_RESOLVERS", "").split(",")
    pairs = [one.partition("=") for one in given if one]
    try:
        if bad := [name for name, equals, resolver in pairs if not (name and equals and resolver)]:
            raise InvalidResolver(f"{bad[0]}: not INTERFACE=RESOLVER")
        return {name: str(ResolverAddress.parse(resolver)) for name, _, resolver in pairs}
    except InvalidResolver as error:
        raise CommandError(
            f"--resolver {error}",
            hint=f"for example --resolver wifi0=10.2.0.1; {error.hint}",
            status=ExitStatus.USAGE,
        ) from None
