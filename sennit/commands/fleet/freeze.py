"""Hold the forwarding table as it is, except for failed edges, or release it."""

import argparse

from runtime.errors import ExitStatus


def run(arguments: list[str]) -> int:
    from balancer.api.numbers import describe_number
    from sennit import remote

    options = build_parser().parse_args(arguments)
    if options.action == "off":
        remote.call_control(options, lambda client: client.thaw())
        return ExitStatus.OK
    view = remote.call_control(
        options, lambda client: client.freeze() if options.action == "on" else client.frozen()
    )
    if options.json:
        print(view.model_dump_json(indent=2))
    elif view.frozen:
        print(
            f"frozen: generation {describe_number(view.generation or 0)},"
            f" since {view.at:%Y-%m-%d %H:%M:%S} by {view.who}: {view.why}"
        )
    else:
        print("not frozen")
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit freeze", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    for action, words in {
        "on": "hold the table",
        "off": "release it: publish the current state",
        "show": "show whether it is held, and why",
    }.items():
        remote.add_options(actions.add_parser(action, help=words), changes=action != "show")
    return parser
