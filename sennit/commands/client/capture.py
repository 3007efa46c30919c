"""Capture whole control groups, and users' programs, so that their connections to the CDN go by sessions.

A service that runs until it is stopped (sennit-capture.service). Without --cgroup it captures what runs in
sennit-captured.slice. Hosts are those of --host and --hosts-file, else those of known_hosts; SIGHUP reads them anew.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus
from sennit.session_options import add_session_options, connect_options

if TYPE_CHECKING:
    from smkex.client.events import Event
    from smkex.client.known_hosts import KnownHosts

SLICE = "sennit.slice/sennit-captured.slice"


def run(arguments: list[str]) -> int:
    from capture.load.programs import CaptureUnavailable
    from capture.service.run import ServingEnded, run_service
    from capture.service.settings import CaptureSettings
    from smkex.client.events import Failed, as_dict

    options = build_parser().parse_args(arguments)
    connect = connect_options(options)

    def report_event(event: "Event") -> None:
        if options.verbose or isinstance(event, Failed):
            print(json.dumps(as_dict(event)) if options.json else event, file=sys.stderr, flush=True)

    def warn(text: str) -> None:
        print(
            json.dumps({"event": "Warning", "text": text}) if options.json else text,
            file=sys.stderr,
            flush=True,
        )

    settings = CaptureSettings(
        read_hosts=lambda: _read_hosts(options, connect.known_hosts),
        connect=connect,
        groups=tuple(map(_check_group, options.cgroup or [SLICE])),
        excluded=tuple(options.exclude or ()),
        excluded_mark=options.exclude_mark,
        socket=options.socket,
        pins=options.pins,
        service_port=options.service_port,
        connections=options.max_connections,
        user_connections=options.max_connections_per_user,
        user_programs=options.max_programs_per_user,
        idle=options.idle_timeout,
    )
    try:
        run_service(settings, report_event, warn)
    except ServingEnded as error:
        raise CommandError(str(error), hint="the unit starts it again; see its log") from None
    except CaptureUnavailable as error:
        raise CommandError(str(error), hint="needs root, python3-bpfcc and linux-libc-dev") from None
    except ValueError as error:
        raise CommandError(str(error), status=ExitStatus.USAGE) from None
    except OSError as error:
        raise CommandError(f"cannot capture: {error}", hint="needs root, and cgroup version 2") from None
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sennit capture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cgroup",
        action="append",
        metavar="GROUP",
        help=f"control group to capture, `/` is the whole host; repeatable ({SLICE})",
    )
    parser.add_argument(
        "--exclude", action="append", metavar="GROUP", help="control group that is not captured; repeatable"
    )
    parser.add_argument(
        "--exclude-mark",
        type=lambda text: int(text, 0),
        default=0,
        metavar="MARK",
        help="sockets with this mark (SO_MARK) are not captured",
    )
    parser.add_argument(
        "--host",
        action="append",
        metavar="PATTERN",
        help="names, patterns such as *.cdn.example, or addresses that go by sessions",
    )
    parser.add_argument(
        "--hosts-file", type=Path, metavar="FILE", help="more of them, one a line; # begins a comment"
    )
    parser.add_argument(
        "--socket",
        type=Path,
        default=Path("/run/sennit-capture/socket"),
        help="where users put programs under capture (/run/sennit-capture/socket)",
    )
    parser.add_argument(
        "--pins",
        type=Path,
        default=Path("/run/sennit/bpf/capture"),
        metavar="DIR",
        help="folder in a BPF file system, for a start after a crash (/run/sennit/bpf/capture)",
    )
    parser.add_argument("--service-port", type=int, default=443, help="service port of the CDN (443)")
    parser.add_argument(
        "--idle-timeout",
        type=float,
        default=3600.0,
        help="seconds without a byte until a session ends (3600)",
    )
    parser.add_argument("--max-connections", type=int, default=4096, help="concurrent connections (4096)")
    parser.add_argument(
        "--max-connections-per-user", type=int, default=256, help="concurrent connections of a user (256)"
    )
    parser.add_argument(
        "--max-programs-per-user",
        type=int,
        default=64,
        help="concurrent programs that a user may put under capture (64)",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="report sessions too, not only failures, on standard error"
    )
    parser.add_argument("--json", action="store_true", help="report one JSON object per line")
    add_session_options(parser)
    return parser


def _check_group(path: str) -> str:
    if path.endswith((".service", ".scope")):
        raise CommandError(
            f"--cgroup {path}: systemd makes this group anew at each start of the unit, uncaptured",
            hint="give the unit Slice=sennit-captured.slice, or capture the slice above it",
            status=ExitStatus.USAGE,
        )
    return path


def _read_hosts(options: argparse.Namespace, known: "KnownHosts | None") -> list[str]:
    """Raises ValueError."""
    from smkex.client.known_hosts import KnownHostsDamaged

    if not options.host and options.hosts_file is None:
        try:
            return known.names() if known is not None else []
        except KnownHostsDamaged as error:
            raise ValueError(str(error)) from None
    hosts = list(options.host or [])
    if options.hosts_file is not None:
        try:
            lines = options.hosts_file.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"--hosts-file {options.hosts_file}: {error}") from None
        hosts += [host for line in lines if (host := line.partition("#")[0].strip())]
    return hosts
