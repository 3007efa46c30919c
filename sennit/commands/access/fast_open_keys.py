"""Change the fleet's TCP Fast Open keys, or show since when they are."""

import argparse

from runtime.errors import ExitStatus


def run(arguments: list[str]) -> int:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit fast-open-keys", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    remote.add_options(
        actions.add_parser("rotate", help="make a new key; the one before it is still taken"), changes=True
    )
    remote.add_options(actions.add_parser("show", help="newest first; --json has the keys themselves"))
    options = parser.parse_args(arguments)
    if options.action == "rotate":
        made = remote.call(options, lambda client: client.rotate_fast_open_keys())
        print(made.model_dump_json(indent=2) if options.json else f"key {made.id}")
        return ExitStatus.OK
    keys = remote.call(options, lambda client: client.fast_open_keys())
    if options.json:
        print(keys.model_dump_json(indent=2))
    else:
        uses = ("makes cookies", "is still taken")
        rows = [
            (str(each.id), f"{each.at:%Y-%m-%d %H:%M:%S}", use)
            for each, use in zip(keys.items, uses, strict=False)
        ]
        print(remote.table(("KEY", "MADE", "USE"), rows))
    return ExitStatus.OK
