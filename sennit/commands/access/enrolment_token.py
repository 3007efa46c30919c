"""Create one-time tokens for the enrolment of edges."""

import argparse
from pathlib import Path

from runtime.errors import ExitStatus


def run(arguments: list[str]) -> int:
    from balancer.api.schemas import EnrolmentTokenRequest
    from sennit import remote
    from sennit.checked_bodies import make_body

    options = build_parser().parse_args(arguments)
    fields = ("note", "expires_seconds", "edge_name", "edge_id")
    body = make_body(EnrolmentTokenRequest, {field: getattr(options, field) for field in fields})
    token = remote.call_control(options, lambda client: client.create_enrolment_token(body))
    if options.output:
        remote.write_token(options.output, token.token)
    else:
        print(token.model_dump_json(indent=2) if options.json else token.token)
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit enrolment-token", description=__doc__)
    create = parser.add_subparsers(dest="action", required=True).add_parser(
        "create", help="create a token, shown once"
    )
    create.add_argument("--edge-name", metavar="NAME", help="valid for this name only")
    create.add_argument("--edge-id", type=int, metavar="ID", help="the edge gets this id")
    create.add_argument("--expires-seconds", type=int, default=3600, metavar="N")
    create.add_argument("--note", default="", help="a remark in listings")
    create.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it to FILE with mode 0600")
    remote.add_options(create)
    return parser
