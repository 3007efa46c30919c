"""Run a WireGuard relay, which gives hosts with one interface their second path, and say which hosts may use it."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from relay.server.peers import RegisteredPeer, RelayState
    from relay.wireguard.device import PeerActivity

STATE = Path("/var/lib/sennit-relay")


def run(arguments: list[str]) -> int:
    if arguments[:1] == ["run"]:
        return _run_daemon(arguments[1:])
    from relay.server.peers import PeersInvalid, RelayState

    options = build_parser().parse_args(arguments)
    try:
        return int(options.do(options, RelayState(options.state)))
    except PeersInvalid as error:
        raise CommandError(str(error), hint=error.hint) from None


def build_parser() -> argparse.ArgumentParser:
    from relay.server.settings import RelaySettings

    parser = argparse.ArgumentParser(prog="sennit relay", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("run", help="run the relay until SIGTERM; `sennit relay run --help`")
    actions.choices["run"] = RelaySettings.argument_parser()  # `run` above hands its arguments to it
    for name, do, text in (
        ("add", _add_peer, "let a host use the relay; print its configuration, which is kept nowhere"),
        ("list", _list_peers, "list the hosts that may use the relay, and when they last did"),
        ("remove", _remove_peer, "stop a host from using the relay"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(do=do)
        action.add_argument("--state", type=Path, default=STATE, metavar="DIR", help="the relay's folder")
        if name == "list":
            action.add_argument("--json", action="store_true", help="print one JSON list")
        else:
            action.add_argument("name", help="name of the host, of your choice")
    return parser


def _run_daemon(arguments: list[str]) -> int:
    from relay.server.daemon import RelayDaemon
    from relay.server.peers import PeersInvalid
    from relay.server.settings import RelaySettings
    from relay.wireguard.device import WireguardUnavailable
    from runtime.logging import log_to_stderr

    settings = RelaySettings.from_arguments(arguments)
    log_to_stderr(settings.log_level)
    try:
        RelayDaemon(settings).run()
    except (PeersInvalid, WireguardUnavailable) as error:
        raise CommandError(str(error), hint=error.hint) from None
    return ExitStatus.OK


def _add_peer(options: argparse.Namespace, state: "RelayState") -> int:
    from relay.configuration import parse_name

    try:
        parse_name(options.name, "NAME")
    except ValueError as error:
        raise CommandError(str(error), status=ExitStatus.USAGE) from None
    configuration = state.add_peer(options.name)
    print(configuration.serialize(), end="")
    print(
        f"{options.name} may use the relay with this configuration, which holds its private key and is kept nowhere:"
        " on that host, `sudo sennit path add NAME < FILE`",
        file=sys.stderr,
    )
    return ExitStatus.OK


def _remove_peer(options: argparse.Namespace, state: "RelayState") -> int:
    state.remove_peer(options.name)
    return ExitStatus.OK


def _list_peers(options: argparse.Namespace, state: "RelayState") -> int:
    activities = _read_activities(state)
    rows = [_peer_row(peer, activities) for peer in state.read_peers()]
    if options.json:
        print(json.dumps(rows))
        return ExitStatus.OK
    for row in rows:
        seen = row["last_handshake"]
        used = (
            "never used" if seen == 0 else f"last handshake {_format_time(seen)}" if seen else "not running"
        )
        amount = f", {row['received']} bytes in, {row['sent']} out" if seen else ""
        print(f"{row['name']:<20} {', '.join(row['addresses']):<40} {used}{amount}")
    return ExitStatus.OK


def _read_activities(state: "RelayState") -> "dict[bytes, PeerActivity] | None":
    """Return what the interface knows of peers; None where it is not there, or this user may not ask."""
    from relay.server.peers import PeersInvalid
    from relay.wireguard.device import WireguardUnavailable
    from relay.wireguard.interface import find_device

    try:
        device = find_device(state.read_description().interface)
        return dict(device.read_status().peers) if device is not None else None
    except (PeersInvalid, WireguardUnavailable) as error:
        print(f"warning: {error}", file=sys.stderr)
        return None


def _peer_row(peer: "RegisteredPeer", activities: "dict[bytes, PeerActivity] | None") -> dict[str, Any]:
    activity = activities.get(peer.public_key) if activities is not None else None
    return {
        **peer.as_fields(),
        "endpoint": activity.endpoint if activity else None,
        "last_handshake": activity.last_handshake if activity else None,
        "received": activity.received if activity else None,
        "sent": activity.sent if activity else None,
    }


def _format_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
