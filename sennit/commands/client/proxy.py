"""A local proxy (HTTP and SOCKS 5) that takes unmodified programs to the CDN over two paths.

For example: sennit proxy --host cdn.lab, then curl -x http://127.0.0.1:1080 http://cdn.lab/file
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus
from sennit.foreground import listed_sessions, parse_address_and_port, wait_for_stop
from sennit.session_options import add_session_options, connect_options

if TYPE_CHECKING:
    from smkex.client.events import Event
    from smkex.client.proxy import ProxySettings
    from smkex.client.proxy.credentials import Credentials


def run(arguments: list[str]) -> int:
    options = build_parser().parse_args(arguments)
    from runtime.heap import keep_freed_memory
    from smkex.transport.event_loop import run_in_reactor  # slow to load

    keep_freed_memory()
    return run_in_reactor(_serve_proxy(_proxy_settings(options), as_json=options.json))


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sennit proxy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listen", default="127.0.0.1:1080", metavar="ADDRESS:PORT", help="(127.0.0.1:1080)")
    parser.add_argument(
        "--host",
        action="append",
        metavar="PATTERN",
        help="names or addresses that use sessions, such as *.cdn.example; repeatable (all)",
    )
    parser.add_argument(
        "--others",
        choices=("refuse", "direct"),
        default="refuse",
        help="other hosts: refuse, or connect without sessions (refuse)",
    )
    parser.add_argument(
        "--service-port", type=int, default=443, help="service port of the CDN, used for port 80 (443)"
    )
    parser.add_argument(
        "--credentials",
        type=Path,
        metavar="FILE",
        help="file with a line NAME:PASSWORD for each program, which must send its own",
    )
    parser.add_argument(
        "--max-connections", type=int, default=256, help="concurrent connections from programs (256)"
    )
    parser.add_argument("--max-sessions", type=int, default=64, help="concurrent sessions (64)")
    parser.add_argument("--json", action="store_true", help="log one JSON object per line")
    add_session_options(parser)
    return parser


def _proxy_settings(options: argparse.Namespace) -> "ProxySettings":
    from smkex.client.proxy import ProxySettings
    from smkex.client.proxy.rules import Rules

    address, port = parse_address_and_port("--listen", options.listen)
    credentials = _read_credentials(options.credentials) if options.credentials else None
    if credentials is None and not address.is_loopback:
        raise CommandError(
            f"--listen {address}: others could use this proxy",
            hint="listen on 127.0.0.1, or give --credentials FILE",
            status=ExitStatus.USAGE,
        )
    if options.others == "direct" and not options.host:
        raise CommandError(
            "--others direct needs --host: otherwise every host uses sessions", status=ExitStatus.USAGE
        )
    hosts = tuple(options.host or ["*"])
    return ProxySettings(
        host=str(address),
        port=port,
        rules=Rules(hosts, options.others == "direct", options.service_port),
        credentials=credentials,
        connections=options.max_connections,
        sessions=options.max_sessions,
        connect=connect_options(options),
    )


def _read_credentials(path: Path) -> "Credentials":
    from smkex.client.proxy.credentials import Credentials

    try:
        return Credentials.parse(path.read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"--credentials {path}: {error}", status=ExitStatus.USAGE) from None


async def _serve_proxy(settings: "ProxySettings", *, as_json: bool) -> int:
    from smkex.client.events import as_dict
    from smkex.client.proxy import Proxy

    def report_event(event: "Event") -> None:
        print(json.dumps(as_dict(event)) if as_json else event, file=sys.stderr, flush=True)

    proxy = Proxy(settings, report_event)
    try:
        await proxy.start()
    except OSError as error:
        raise CommandError(
            f"cannot listen: {error.strerror or error}", hint="--listen ADDRESS:PORT"
        ) from None
    where = f"{f'[{settings.host}]' if ':' in settings.host else settings.host}:{proxy.port}"
    if as_json:
        print(json.dumps({"event": "Ready", "listen": where}), file=sys.stderr, flush=True)
    else:
        print(f"ready: http://{where} and socks5h://{where}", file=sys.stderr, flush=True)
    async with listed_sessions("proxy", proxy.list_sessions):
        await wait_for_stop()
    await proxy.stop()
    return ExitStatus.OK
