"""Drop a URL, all with a tag, below a prefix, of a host or a service, or everything, from the caches of all edges."""

import argparse
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from balancer.api.client import ControlClient
    from balancer.api.purges import PurgeProgress, PurgeRequest, PurgeView

WAIT_SECONDS = 30.0


def run(arguments: list[str]) -> int:
    from sennit import remote

    options = build_parser().parse_args(arguments)
    body = _request_of(options)

    async def request(client: "ControlClient") -> "tuple[PurgeView, PurgeProgress | None]":
        made = await client.purge(body)
        progress = await client.purge_progress(made.id, options.wait) if options.wait is not None else None
        return made, progress

    made, progress = remote.call_control(options, request)
    if progress is None:
        print(made.model_dump_json(indent=2) if options.json else f"purge {made.id}")
        return ExitStatus.OK
    done = f"purge {made.id}: {progress.done} of {progress.edges} edges done"
    print(progress.model_dump_json(indent=2) if options.json else done)
    if progress.waiting:
        missing = ", ".join(map(str, progress.waiting))
        hint = "they apply it before they serve again; `sennit edges list` shows whether they are well"
        raise CommandError(f"not done after {options.wait:g} s: edges {missing}", hint=hint)
    return ExitStatus.OK


def _request_of(options: argparse.Namespace) -> "PurgeRequest":
    from pydantic import ValidationError

    from balancer.api.purges import PurgeRequest

    try:
        return PurgeRequest(
            url=options.url,
            tag=options.tag,
            prefix=options.prefix,
            host=options.host,
            service=options.service,
            everything=options.all,
            soft=options.soft,
        )
    except ValidationError as error:
        reasons = [
            f"--{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        ]
        raise CommandError("; ".join(reasons), status=ExitStatus.USAGE) from None


def _parse_seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 60:
        raise argparse.ArgumentTypeError("0 to 60 seconds")
    return seconds


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit purge", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--url", help="the URL as clients request it, in any spelling")
    which.add_argument("--tag", help="a tag of the origin's Cache-Tag or Surrogate-Key")
    which.add_argument("--prefix", metavar="URL", help="all URLs that begin with this one, within the path")
    which.add_argument("--host", help="all of a host, on any port")
    which.add_argument("--service", metavar="NAME", help="all of a service")
    which.add_argument("--all", action="store_true", help="everything")
    parser.add_argument(
        "--soft",
        action="store_true",
        help="do not drop it: serve it stale, a minute at most, while it is validated",
    )
    parser.add_argument(
        "--wait",
        type=_parse_seconds,
        nargs="?",
        const=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"wait until all edges are done, {WAIT_SECONDS:g} s by default, and say how many are",
    )
    remote.add_options(parser, changes=True)
    return parser
