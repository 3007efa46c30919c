"""Carry TCP between two hosts in sessions over two paths, without a CDN.

For example, on the server: sennit tunnel listen --address 203.0.113.1 --target 127.0.0.1:5432
and on the client: sennit tunnel connect 203.0.113.1 --listen 127.0.0.1:5432
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus
from runtime.systemd import notify_systemd
from sennit.foreground import listed_sessions, parse_address_and_port, parse_host_and_port, wait_for_stop
from sennit.session_options import add_session_options, connect_options

if TYPE_CHECKING:
    from smkex.client.events import Event
    from smkex.server.callbacks import SessionCallback
    from smkex.server.connection import AcceptedConnection
    from smkex.server.options import ServerOptions
    from smkex.server.start import SessionServer


def run(arguments: list[str]) -> int:
    options = build_parser().parse_args(arguments)
    from runtime.heap import keep_freed_memory
    from smkex.transport.event_loop import run_in_reactor  # slow to load

    keep_freed_memory()
    serve = _serve_listen if options.end == "listen" else _serve_connect
    run_in_reactor(serve(options))
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sennit tunnel", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ends = parser.add_subparsers(dest="end", required=True, metavar="END")
    _add_listen_options(ends.add_parser("listen", help="accept sessions, and connect each to a TCP service"))
    _add_connect_options(
        ends.add_parser("connect", help="accept TCP, and carry each connection in a session")
    )
    return parser


def _add_listen_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address", action="append", required=True, help="address of this host to serve at; repeatable"
    )
    parser.add_argument("--target", required=True, metavar="HOST:PORT", help="TCP service behind the tunnel")
    parser.add_argument("--service-port", type=int, default=443, help="port of first subflows (443)")
    parser.add_argument("--id-port-base", type=int, default=10000, help="second subflows: this + id (10000)")
    parser.add_argument("--server-id", type=int, default=1, help="id of this server (1)")
    parser.add_argument(
        "--proxy-protocol", action="store_true", help="send a PROXY protocol v2 header to the service first"
    )
    parser.add_argument(
        "--connect-timeout", type=float, default=5.0, help="seconds for connecting to the service (5)"
    )
    parser.add_argument(
        "--mode",
        action="append",
        choices=("opportunistic", "tofu"),
        help="accept this mode; repeatable (both, and mtls with a certificate)",
    )
    for name, text in (
        ("--tofu-certificate", "certificate of --tofu-key (`sennit fleet-key certify`)"),
        ("--tofu-key", "private key for mode tofu (`sennit edge-key create`)"),
        ("--name-keys", "keys for sealed server names, in mode tofu (`sennit fleet-key name-key`)"),
        ("--tls-certificate", "certificate chain for mode mtls (PEM)"),
        ("--tls-key", "private key of --tls-certificate (PEM)"),
    ):
        parser.add_argument(name, type=Path, metavar="FILE", help=text)
    parser.add_argument(
        "--allow-unconfirmed", action="store_true", help="begin before the second path is confirmed"
    )
    parser.add_argument(
        "--mptcp", action="store_true", help="serve transport mptcp too (needs CAP_NET_ADMIN)"
    )
    parser.add_argument("--max-sessions", type=int, default=1000, help="concurrent sessions (1000)")
    _add_common_options(parser)


def _add_connect_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", help="name or address of the other end")
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT", help="where programs connect")
    parser.add_argument(
        "--allow-remote", action="store_true", help="listen at an address that other hosts reach"
    )
    parser.add_argument("--service-port", type=int, default=443, help="the other end's service port (443)")
    parser.add_argument("--max-sessions", type=int, default=256, help="concurrent sessions (256)")
    _add_common_options(parser)
    add_session_options(parser)


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--idle-timeout", type=float, default=300.0, help="seconds without a byte until a session ends (300)"
    )
    parser.add_argument("--json", action="store_true", help="log one JSON object per line")


def _print_ready(where: str, *, as_json: bool) -> None:
    notify_systemd("READY=1")
    text = json.dumps({"event": "Ready", "listen": where}) if as_json else f"ready: {where}"
    print(text, file=sys.stderr, flush=True)


async def _serve_connect(options: argparse.Namespace) -> None:
    import socket

    from smkex.client.bounded_sessions import BoundedSessions
    from smkex.client.carried_connections import SessionTarget
    from smkex.client.events import as_dict
    from smkex.client.local_entrance import LocalEntrance
    from smkex.transport.routes.host_name import HostName, InvalidHostName

    def report_event(event: "Event") -> None:
        print(json.dumps(as_dict(event)) if options.json else event, file=sys.stderr, flush=True)

    address, port = parse_address_and_port("--listen", options.listen)
    if not address.is_loopback and not options.allow_remote:
        raise CommandError(
            f"--listen {address}: others could use this tunnel",
            hint="listen on 127.0.0.1, or give --allow-remote",
            status=ExitStatus.USAGE,
        )
    try:
        target = SessionTarget(HostName.parse(options.host).text, options.service_port)
    except InvalidHostName as error:
        raise CommandError(str(error), status=ExitStatus.USAGE) from None

    async def find_target(_: object) -> SessionTarget:
        return target

    sessions = BoundedSessions(connect_options(options), report_event, options.max_sessions)
    entrance = LocalEntrance(
        find_target,
        sessions,
        report_event,
        connections=options.max_sessions,
        idle=options.idle_timeout,
    )
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        sock = socket.create_server((str(address), port), family=family)
    except OSError as error:
        raise CommandError(f"cannot listen: {error}", hint="--listen ADDRESS:PORT") from None
    await entrance.listen_on(sock)
    async with listed_sessions("tunnel", sessions.list_sessions):
        _print_ready("{}:{}".format(*sock.getsockname()[:2]), as_json=options.json)
        await wait_for_stop()
    await entrance.stop()


async def _serve_listen(options: argparse.Namespace) -> None:
    from smkex.server.tcp_target import TargetRelay

    host, port = parse_host_and_port("--target", options.target)
    relay = TargetRelay(
        host=host,
        port=port,
        proxy_protocol=options.proxy_protocol,
        connect_timeout=options.connect_timeout,
        idle_timeout=options.idle_timeout,
    )

    def report_session(event: str, connection: "AcceptedConnection") -> None:
        report = connection.report()
        line = (
            json.dumps({"event": event, **report.as_dict()}) if options.json else f"{event}: {report.line()}"
        )
        print(line, file=sys.stderr, flush=True)

    async def carry(connection: "AcceptedConnection") -> None:
        report_session("SessionAccepted", connection)
        try:
            await relay(connection)
        finally:
            report_session("SessionFinished", connection)

    server = await _start_server(options, carry)
    async with (
        server,
        listed_sessions(
            "tunnel",
            lambda: [
                {"host": options.target, "text": report.text(), **report.as_dict()}
                for report in server.reports()
            ],
        ),
    ):
        _print_ready(
            ", ".join(f"{host} port {port}" for host, port in server.addresses), as_json=options.json
        )
        await wait_for_stop()


async def _start_server(options: argparse.Namespace, carry: "SessionCallback") -> "SessionServer":
    from smkex.server.identity import IdentityUnusable
    from smkex.server.start import start_server
    from smkex.transport.mptcp.errors import MptcpError

    try:
        return await start_server(
            carry, options.address, options.service_port, options=_server_options(options)
        )
    except IdentityUnusable as error:
        raise CommandError(str(error), hint="check the key and certificate options") from None
    except MptcpError as error:
        raise CommandError(f"transport mptcp: {error}", hint=error.hint or "") from None
    except ValueError as error:
        raise CommandError(f"--address: {error}", status=ExitStatus.USAGE) from None
    except OSError as error:
        raise CommandError(
            f"cannot listen: {error}",
            hint="is the address one of this host, are the ports free, and may this user bind them?",
        ) from None


def _server_options(options: argparse.Namespace) -> "ServerOptions":
    from smkex.core.wire.messages import Mode
    from smkex.server.limits.server_limits import ServerLimits
    from smkex.server.options import ServerOptions

    modes = tuple(Mode[mode.upper()] for mode in options.mode or ("tofu", "opportunistic"))
    return ServerOptions(
        server_id=options.server_id,
        id_port_base=options.id_port_base,
        modes=modes,
        tofu_certificate=options.tofu_certificate,
        tofu_key=options.tofu_key,
        name_keys=options.name_keys,
        tls_certificate=options.tls_certificate,
        tls_key=options.tls_key,
        require_both=not options.allow_unconfirmed,
        mptcp=options.mptcp,
        limits=ServerLimits(sessions=options.max_sessions, sessions_per_prefix=options.max_sessions),
    )
