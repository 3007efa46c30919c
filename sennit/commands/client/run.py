"""Run an unmodified program whose connections to the CDN go by sessions over two paths.

For example: sudo sennit run --host cdn.example -- curl http://cdn.example/file
Without root the program is captured by the service `sennit capture`, where one runs.
"""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from runtime.errors import CommandError, ExitStatus
from sennit.foreground import listed_sessions
from sennit.session_options import add_session_options, connect_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from capture.program import ProgramNotExecuted, ProgramUser
    from smkex.client.events import Event


def run(arguments: list[str]) -> int:
    from capture.cgroup import ControlGroupUnavailable
    from capture.load.programs import CaptureUnavailable
    from capture.program import ProgramNotExecuted
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

    def show_event(event: dict[str, Any], text: str) -> None:
        if options.verbose or event["event"] == Failed.__name__:
            print(json.dumps(event) if options.json else f"sennit: {text}", file=sys.stderr, flush=True)

    def report_event(event: "Event") -> None:
        show_event(as_dict(event), str(event))

    if options.through_service or _needs_service():
        return _run_through_service(options, command, lambda line: show_event(line["event"], line["text"]))
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
    except ProgramNotExecuted as error:
        raise _not_executed(error) from None
    except InvalidHostName as error:
        raise CommandError(f"--host: {error}", status=ExitStatus.USAGE) from None
    except SmkexError as error:
        found = explain_error(error)
        raise CommandError(str(found), hint=found.hint, status=ExitStatus.REFUSED) from None
    except ControlGroupUnavailable as error:
        raise CommandError(
            str(error),
            hint="run it as root (sudo) or through `sennit capture`, on a host with cgroup version 2",
        ) from None
    except CaptureUnavailable as error:
        raise CommandError(
            str(error), hint="needs root (or the service `sennit capture`), python3-bpfcc and linux-libc-dev"
        ) from None
    except OSError as error:
        raise CommandError(f"cannot run {command[0]}: {error.strerror or error}") from None


def _needs_service() -> bool:
    """Return whether this user cannot load programs, and a service is there that can."""
    from capture.service.client import service_socket

    return os.geteuid() != 0 and service_socket().exists()


def _run_through_service(
    options: argparse.Namespace, command: list[str], show_event: "Callable[[dict[str, Any]], None]"
) -> int:
    from capture.program import ProgramNotExecuted
    from capture.service.client import CaptureServiceError, run_through_service

    parser = build_parser()
    given = [
        action.option_strings[0]
        for action in parser._actions
        if action.dest not in ("help", "host", "verbose", "json", "through_service", "program")
        and getattr(options, action.dest) != _default_value(parser, action)
    ]
    if given:
        raise CommandError(
            f"{given[0]} cannot be chosen: the capture service opens the sessions",
            hint="leave it out, or run as root without --through-service",
            status=ExitStatus.USAGE,
        )
    try:
        return run_through_service(command, options.host or [], show_event)
    except ProgramNotExecuted as error:
        raise _not_executed(error) from None
    except CaptureServiceError as error:
        raise CommandError(str(error), hint=error.hint) from None
    except OSError as error:
        raise CommandError(f"cannot run {command[0]}: {error.strerror or error}") from None


def _not_executed(error: "ProgramNotExecuted") -> CommandError:
    return CommandError(str(error), status=ExitStatus.NOT_EXECUTABLE if error.found else ExitStatus.NOT_FOUND)


def _default_value(parser: argparse.ArgumentParser, action: argparse.Action) -> Any:
    """Return the value of an option that is not given, as the parser converts it."""
    if isinstance(action.default, str):
        return parser._get_value(action, action.default)
    return action.default


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
    parser.add_argument(
        "--through-service",
        action="store_true",
        help="let the service of `sennit capture` capture the program (so it is without root, where one runs)",
    )
    parser.add_argument("--user", help="user to run the program as (the caller of sudo, else this one)")
    parser.add_argument("--service-port", type=int, default=443, help="service port of the CDN (443)")
    parser.add_argument(
        "--idle-timeout",
        type=float,
        default=3600.0,
        help="seconds without a byte until a session ends (3600)",
    )
    parser.add_argument("--max-connections", type=int, default=256, help="concurrent connections (256)")
    parser.add_argument("--max-sessions", type=int, default=256, help="concurrent sessions (256)")
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
        hosts = known.names()
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
