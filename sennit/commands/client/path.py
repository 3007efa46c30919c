"""Give this host a second path through a relay, where it has one interface; list its paths.

Root, or CAP_NET_ADMIN, is needed to set paths up and to remove them, not to use them: any user's `sennit get` and
programs of the library find them by themselves. For example: sudo sennit path add relay0 < FILE
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from relay.client.path_list import ListedPath
    from relay.client.path_store import PathStore
    from relay.configuration import PathConfiguration

STORE = Path("/var/lib/sennit-path")


def run(arguments: list[str]) -> int:
    from relay.client.path_store import PathRefused, PathStore

    options = build_parser().parse_args(arguments)
    try:
        return int(options.do(options, PathStore(options.store)))
    except PathRefused as error:
        raise CommandError(str(error), hint=error.hint) from None


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sennit path", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, do, text in (
        ("add", _add_path, "set a path up with a relay's configuration, and keep it for `keep`"),
        ("list", _list_paths, "list the interfaces that clients take, and how each leaves this host"),
        ("remove", _remove_path, "take a path down and forget it"),
        (
            "keep",
            _keep_paths,
            "set all stored paths up, and mend them when the network changes, until SIGTERM",
        ),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(do=do)
        action.add_argument(
            "--store", type=Path, default=STORE, metavar="DIR", help="folder of the stored paths"
        )
    add, listing, remove = (actions.choices[name] for name in ("add", "list", "remove"))
    for action in (add, remove):
        action.add_argument("name", help="name of the path's interface, such as relay0")
    add.add_argument(
        "--configuration",
        type=Path,
        metavar="FILE",
        help="what `sennit relay add` printed (default: standard input)",
    )
    add.add_argument(
        "--interface",
        metavar="UNDERLAY",
        help="interface by which the relay is reached (default: the first with a default route)",
    )
    listing.add_argument("--json", action="store_true", help="print one JSON list")
    return parser


def _add_path(options: argparse.Namespace, store: "PathStore") -> int:
    from relay.client.path_setup import apply_path, is_foreign, remove_path
    from relay.client.path_store import PathRefused
    from relay.configuration import parse_interface_name

    try:
        names = [parse_interface_name(each) for each in (options.name, options.interface) if each is not None]
    except ValueError as error:
        raise CommandError(str(error), status=ExitStatus.USAGE) from None
    configuration = _read_configuration(options.configuration)
    with store.locked():
        path = store.add(names[0], options.interface, configuration)
        try:
            if is_foreign(path):
                raise PathRefused(f"there is an interface {path.name}", "choose another name")
            described = apply_path(path)
        except BaseException:
            store.remove(path.name)
            if not is_foreign(path):
                remove_path(path)
            raise
    print(
        f"{path.name} leads to relay {described.relay} at {described.endpoint} by {described.underlay}."
        " After a restart `sennit path keep` sets it up (unit sennit-path.service)",
        file=sys.stderr,
    )
    return ExitStatus.OK


def _read_configuration(file: Path | None) -> "PathConfiguration":
    from relay.configuration import SIZE_LIMIT, InvalidConfiguration, PathConfiguration

    where = str(file) if file is not None else "standard input"
    try:
        with file.open() if file is not None else sys.stdin as opened:
            return PathConfiguration.parse(opened.read(SIZE_LIMIT + 1))
    except InvalidConfiguration as error:
        hint = "give what `sennit relay add` printed, whole"
        raise CommandError(f"{where} is no relay's configuration: {error}", hint=hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{where}: {error}") from None


def _remove_path(options: argparse.Namespace, store: "PathStore") -> int:
    from relay.client.path_setup import remove_path
    from relay.client.path_store import PathRefused

    with store.locked():
        path = store.read_paths().get(options.name)
        if path is None:
            raise PathRefused(f"there is no path {options.name}", "`sennit path list` shows all")
        remove_path(path)
        store.remove(path.name)
    return ExitStatus.OK


def _list_paths(options: argparse.Namespace, store: "PathStore") -> int:
    from relay.client.path_list import list_paths
    from relay.wireguard.device import WireguardUnavailable

    try:
        rows = list_paths()
    except WireguardUnavailable as error:
        raise CommandError(str(error), hint=error.hint) from None
    if options.json:
        print(json.dumps([row.as_dict() for row in rows]))
    else:
        for row in rows:
            print(_format_row(row))
    return ExitStatus.OK


def _format_row(row: "ListedPath") -> str:
    number = "-" if row.path is None else str(row.path)
    hop = row.next_hop or "on the link"
    if row.relay is None:
        return f"{number}  {row.interface:<15} {', '.join(row.addresses):<40} by {hop}"
    seen = row.last_handshake
    last = (
        ""
        if seen is None
        else ", no handshake yet"
        if seen == 0
        else f", last handshake {datetime.fromtimestamp(seen, UTC).isoformat(timespec='seconds')}"
    )
    return (
        f"{number}  {row.interface:<15} {', '.join(row.addresses):<40} inside WireGuard to relay {row.relay} at"
        f" {row.endpoint}, which leaves by {row.underlay} ({hop}){last}"
    )


def _keep_paths(options: argparse.Namespace, store: "PathStore") -> int:
    import asyncio

    from relay.client.path_daemon import keep_paths
    from runtime.logging import log_to_stderr

    log_to_stderr()
    asyncio.run(keep_paths(store))
    return ExitStatus.OK
