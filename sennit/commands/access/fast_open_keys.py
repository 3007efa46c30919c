"""Rotate the fleet's TCP Fast Open keys, or show them."""

import argparse

from runtime.errors import ExitStatus


def run(arguments: list[str]) -> int:
    from sennit import remote

    options = build_parser().parse_args(arguments)
    if options.action == "rotate":
        made = remote.call_control(options, lambda client: client.rotate_fast_open_keys())
        print(made.model_dump_json(indent=2) if options.json else f"key {made.id}")
        return ExitStatus.OK
    keys = remote.call_control(options, lambda client: client.fast_open_keys())
    if options.json:
        print(keys.model_dump_json(indent=2))
    else:
        uses = ("makes cookies", "is still accepted")
        rows = [
            (str(each.id), f"{each.at:%Y-%m-%d %H:%M:%S}", use)
            for each, use in zip(keys.items, uses, strict=False)
        ]
        print(remote.format_table(("KEY", "MADE", "USE"), rows))
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit fast-open-keys", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    remote.add_options(
        actions.add_parser("rotate", help="create a new key; the previous one stays valid"), changes=True
    )
    remote.add_options(
        actions.add_parser("show", help="show their age, newest first; --json includes the keys")
    )
    return parser
