"""Publish an earlier generation of the forwarding table and hold it; or list the stored generations."""

import argparse
import json

from runtime.errors import CommandError, ExitStatus


def run(arguments: list[str]) -> int:
    from sennit import remote

    options = build_parser().parse_args(arguments)
    if options.generation is None:
        return _list_generations(options)
    from balancer.api.numbers import describe_number, parse_number

    try:
        generation = parse_number(options.generation)
    except ValueError:
        raise CommandError(
            f"not a generation: {options.generation}",
            hint="`sennit rollback` lists the generations",
            status=ExitStatus.USAGE,
        ) from None
    view = remote.call_control(options, lambda client: client.roll_back(generation))
    shown = describe_number(view.generation or 0)
    print(view.model_dump_json(indent=2) if options.json else f"frozen: generation {shown}")
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(
        prog="sennit rollback",
        description=__doc__,
        epilog="`sennit freeze off` publishes the current state again.",
    )
    parser.add_argument("generation", nargs="?", help="without it: list the generations")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="how many to list (default: 20)")
    remote.add_options(parser, changes=True)
    return parser


def _list_generations(options: argparse.Namespace) -> int:
    from balancer.api.numbers import describe_number
    from sennit import remote

    found = remote.call_control(options, lambda client: client.generations(max(1, options.count)))
    if options.json:
        print(json.dumps([each.model_dump(mode="json") for each in found], indent=2))
        return ExitStatus.OK
    rows = [
        (
            describe_number(each.generation),
            f"{each.published_at:%Y-%m-%d %H:%M:%S}",
            "; ".join(each.changes) + (" ..." if each.changed > len(each.changes) else ""),
        )
        for each in found
    ]
    print(remote.format_table(("GENERATION", "PUBLISHED", "CHANGES"), rows))
    return ExitStatus.OK
