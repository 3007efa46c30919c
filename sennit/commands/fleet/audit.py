"""Show who changed what, and why: the control plane's audit log, newest first."""

import argparse
import json

from runtime.errors import ExitStatus


def run(arguments: list[str]) -> int:
    from sennit import remote

    options = build_parser().parse_args(arguments)
    found = remote.call_control(options, lambda client: client.audit(max(1, options.count)))
    if options.json:
        print(json.dumps([entry.model_dump(mode="json") for entry in found], indent=2))
        return ExitStatus.OK
    heads = ("AT", "WHO", "ROLE", "WHAT", "TARGET", "DETAIL", "WHY")
    rows = [
        (
            f"{each.at:%Y-%m-%d %H:%M:%S}",
            each.who,
            each.role.value,
            each.what,
            each.target,
            each.detail,
            each.why,
        )
        for each in found
    ]
    print(remote.format_table(heads, rows))
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit audit", description=__doc__)
    parser.add_argument("--count", type=int, default=50, metavar="N", help="how many entries (default: 50)")
    remote.add_options(parser)
    return parser
