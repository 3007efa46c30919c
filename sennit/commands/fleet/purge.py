"""Drop a URL, or everything with a tag, from the caches of all edges."""

import argparse

from runtime.errors import CommandError, ExitStatus


def run(arguments: list[str]) -> int:
    from pydantic import ValidationError

    from balancer.api.purges import PurgeRequest
    from sennit import remote

    options = build_parser().parse_args(arguments)
    try:
        body = PurgeRequest(url=options.url, tag=options.tag)
    except ValidationError as error:
        reasons = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise CommandError("; ".join(reasons), status=ExitStatus.USAGE) from None
    made = remote.call_control(options, lambda client: client.purge(body))
    print(made.model_dump_json(indent=2) if options.json else f"purge {made.id}")
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit purge", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--url", help="the URL as clients request it")
    which.add_argument("--tag", help="a tag of the origin's Cache-Tag or Surrogate-Key")
    remote.add_options(parser, changes=True)
    return parser
