"""List the sessions of this user's programs (run, proxy, tunnel, capture) with their path reports."""

import argparse
import json
import sys
from typing import Any

from runtime.errors import ExitStatus


def run(arguments: list[str]) -> int:
    from smkex.client.session_list import read_session_lists

    options = build_parser().parse_args(arguments)
    found = {**read_session_lists(), **_captured_sessions()}
    if options.json:
        rows = [
            {"program": program, **{name: value for name, value in session.items() if name != "text"}}
            for program, sessions in found.items()
            for session in sessions
        ]
        print(json.dumps(rows))
        return ExitStatus.OK
    for program, sessions in found.items():
        for session in sessions:
            print(f"{program}  {session.get('host', '')}")
            print(session.get("text", ""))
    return ExitStatus.OK


def _captured_sessions() -> "dict[str, list[dict[str, Any]]]":
    from capture.service.client import read_service_sessions

    try:
        sessions = read_service_sessions()
    except (OSError, ValueError) as error:
        print(f"the capture service did not answer: {error}", file=sys.stderr, flush=True)
        return {}
    return {"capture": sessions} if sessions else {}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit sessions", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    return parser
