"""Run an unmodified program whose connections to the CDN go by sessions over two paths.

For example: sudo sennit run --host cdn.example -- curl http://cdn.example/file
"""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus
from sennit.foreground import listed_sessions
from sennit.session_options import add_session_options, connect_options

if TYPE_CHECKING:
    from capture.program import ProgramUser
    from smkex.client.events import Event


def run(arguments: list[str]) -> int:
    from capture.cgroup import ControlGroupUnavailable
    from capture.load.programs import CaptureUnavailable
    from capture.run import RunSettings, run_captured
    from smkex.client.events import Failed, as_dict
    from smkex.client.explain import explain_error
    from smkex.core.errors import SmkexError
    from smkex.transport.routes.host_name import InvalidHostName

    options = build_parser().parse_args(arguments)
    command = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not command:
        raise CommandError(
            "no program to run", hint="sennit run --host HOST -- PROGRAM", status=ExitStatus.USAGE
        )

    def report_event(event: "Event") -> None:
        if options.verbose or isinstance(event, Failed):
            text = json.dumps(as_dict(event)) if options.json else f"sennit: {event}"
            print(text, file=sys.stderr, flush=True)

    settings = RunSettings(
        command=command,
        hosts=_captured_hosts(options),
        connect=connect_options(options),
        user=_program_user(options.user),
        service_port=options.service_port,
        connections=options.max_connections,
        sessions=options.max_sessions,
        idle=options.idle_timeout,
    )
    try:
        return run_captured(settings, report_event, lambda reports: listed_sessions("run", reports))
    except InvalidHostName as error:
        raise CommandError(f"--host: {error}", status=ExitStatus.USAGE) from None
    except SmkexError as error:
        found = explain_error(error)
        raise CommandError(str(found), hint=found.hint, status=ExitStatus.REFUSED) from None
    except ControlGroupUnavailable as error:
        raise CommandError(
            str(error), hint="run it as root (sudo), on a host with cgroup version 2"
        ) from None
    except CaptureUnavailable as error:
        raise CommandError(str(error), hint="needs root, python3-bpfcc and linux-libc-dev") from None
    except OSError as error:
        raise CommandError(f"cannot run {command[0]}: {error.strerror or error}") from None


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sennit run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="sennit run [options] -- PROGRAM [ARGUMENTS]",
    )
    parser.add_argument(
        "--host",
        action="append",
        metavar="PATTERN",
        help="names, patterns such as *.cdn.example, or addresses that go by sessions (those of known_hosts)",
    )
    parser.add_argument("--user", help="user to run the program as (the caller of sudo, else this one)")
    parser.add_argument("--service-port", type=int, default=443, help="service port of the CDN (443)")
    parser.add_argument(
        "--idle-timeout", type=float, default=300.0, help="seconds without a byte until a session ends (300)"
    )
    parser.add_argument("--max-connections", type=int, default=256, help="concurrent connections (256)")
    parser.add_argument("--max-sessions", type=int, default=64, help="concurrent sessions (64)")
    parser.add_argument(
        "--verbose", action="store_true", help="report sessions too, not only failures, on standard error"
    )
    parser.add_argument("--json", action="store_true", help="report one JSON object per line")
    add_session_options(parser)
    parser.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="-- PROGRAM", help="program and arguments"
    )
    return parser


def _captured_hosts(options: argparse.Namespace) -> list[str]:
    from smkex.client.known_hosts import KnownHosts, KnownHostsDamaged

    if options.host:
        return list(options.host)
    known = KnownHosts(options.known_hosts) if options.known_hosts else KnownHosts.open_default()
    try:
        hosts = sorted({entry.host for entry in known.entries()})
    except KnownHostsDamaged as error:
        raise CommandError(str(error), hint="correct the line, or remove it") from None
    if not hosts:
        raise CommandError(
            "no host goes by sessions: none is known", hint="give --host HOST", status=ExitStatus.USAGE
        )
    return hosts


def _program_user(name: str | None) -> "ProgramUser | None":
    from capture.program import ProgramUser

    try:
        return ProgramUser.find(name)
    except KeyError:
        raise CommandError(f"--user {name}: no such user", status=ExitStatus.USAGE) from None
