"""The fleet keys that this user remembers: list, accept, remove."""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from smkex.client.known_hosts import KnownHost, KnownHosts


def run(arguments: list[str]) -> int:
    from smkex.client.known_hosts import KnownHosts, KnownHostsDamaged

    options = build_parser().parse_args(arguments)
    known = KnownHosts(options.known_hosts) if options.known_hosts else KnownHosts.open_default()
    try:
        return int(options.do(known, options))
    except ValueError as error:
        raise CommandError(str(error), status=ExitStatus.USAGE) from None
    except (KnownHostsDamaged, OSError) as error:
        raise CommandError(str(error)) from None


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit known-hosts", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, do, text in (
        ("list", _list_entries, "every host, its keys, and the addresses it is pinned to"),
        ("accept", _accept_key, "accept a key, in addition to those remembered for the host"),
        ("remove", _remove_entries, "forget a host, or one key of it"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(do=do)
        action.add_argument("--known-hosts", type=Path, metavar="FILE", help="instead of the user's own")
        if name == "list":
            action.add_argument("--json", action="store_true")
        if name == "accept":
            action.add_argument("host")
            action.add_argument("fingerprint", help="SHA256:..., compared with what the operator publishes")
            action.add_argument(
                "--pin", action="append", default=[], metavar="ADDRESS", help="dial only this address"
            )
            action.add_argument(
                "--name-key",
                metavar="BASE64",
                help="seal the host's name from the first contact on; the operator publishes it (`sennit fleet-key"
                " name-key`)",
            )
        if name == "remove":
            action.add_argument("host")
            action.add_argument("fingerprint", nargs="?")
    return parser


def _list_entries(known: "KnownHosts", options: argparse.Namespace) -> int:
    from smkex.client.known_hosts import name_key_text

    entries = known.entries()
    if options.json:
        shown = [
            {
                "host": e.host,
                "fingerprint": e.fingerprint,
                "addresses": [str(a) for a in e.addresses],
                "floor": e.floor,
                "name_key": name_key_text(e.name_key) if e.name_key else None,
            }
            for e in entries
        ]
        print(json.dumps(shown, indent=2))
    else:
        for entry in entries:
            print(_describe_entry(entry))
    return ExitStatus.OK


def _describe_entry(entry: "KnownHost") -> str:
    """A line for people: the moment before which certificates are revoked, and when the name key was made."""
    words = [entry.host, entry.fingerprint, *map(str, entry.addresses)]
    if entry.floor:
        words.append(f"revoked before {_format_time(entry.floor)}")
    if entry.name_key is not None:
        words.append(f"name sealed, key of {_format_time(entry.name_key.serial)}")
    return "  ".join(words)


def _format_time(seconds: int) -> str:
    """A signed time may be any number of 64 bits, also one that no calendar has."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):
        return f"unix time {seconds}"


def _accept_key(known: "KnownHosts", options: argparse.Namespace) -> int:
    from smkex.client.known_hosts import KnownHost, read_name_key

    try:
        entry = KnownHost.parse(" ".join([options.host, options.fingerprint, ",".join(options.pin)]))
        if options.name_key is not None:
            entry = replace(entry, name_key=read_name_key(options.name_key))
    except ValueError as error:
        raise CommandError(str(error), status=ExitStatus.USAGE) from None
    known.remember(entry)
    return ExitStatus.OK


def _remove_entries(known: "KnownHosts", options: argparse.Namespace) -> int:
    if not known.forget(options.host, options.fingerprint):
        raise CommandError(f"{options.host} is not known", hint="`sennit known-hosts list`")
    return ExitStatus.OK
