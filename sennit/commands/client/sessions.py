"""List the sessions of this user's programs (run, proxy, tunnel) with their path reports."""

import argparse
import json

from runtime.errors import ExitStatus


def run(arguments: list[str]) -> int:
    from smkex.client.session_list import read_session_lists

    options = build_parser().parse_args(arguments)
    found = read_session_lists()
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


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit sessions", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    return parser
