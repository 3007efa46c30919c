"""Create, list and revoke the tokens of people and programs, each with a role."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import ExitStatus

if TYPE_CHECKING:
    from balancer.api.access import TokenRequest, TokenView


def run(arguments: list[str]) -> int:

    options = build_parser().parse_args(arguments)
    return {"create": _create_token, "revoke": _revoke_token, "list": _list_tokens, "whoami": _show_identity}[
        options.action
    ](options)


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit token", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser(
        "create", help="create a token, shown once; two of one name may be valid at once"
    )
    create.add_argument("name", help="the person or program that uses it")
    create.add_argument("--role", required=True, choices=["read", "operate", "admin", "edge"])
    create.add_argument("--edge-id", type=int, metavar="ID", help="the edge, for role edge")
    create.add_argument("--expires-seconds", type=int, metavar="N", help="default: until it is revoked")
    create.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it to FILE with mode 0600")
    revoke = actions.add_parser("revoke", help="revoke a token at once")
    revoke.add_argument("id", type=int, help="the id that `list` shows")
    remote.add_options(create, changes=True)
    remote.add_options(revoke, changes=True)
    remote.add_options(actions.add_parser("list", help="list every token, without its secret"))
    remote.add_options(actions.add_parser("whoami", help="show name and role of the token in use"))
    return parser


def _create_token(options: argparse.Namespace) -> int:
    from sennit import remote

    body = _token_request(options)
    token = remote.call_control(options, lambda client: client.create_token(body))
    if options.output:
        remote.write_token(options.output, token.token)
    else:
        print(token.model_dump_json(indent=2) if options.json else token.token)
    return ExitStatus.OK


def _token_request(options: argparse.Namespace) -> "TokenRequest":
    from balancer.api.access import TokenRequest
    from sennit.checked_bodies import make_body

    fields = ("name", "role", "edge_id", "expires_seconds")
    return make_body(TokenRequest, {field: getattr(options, field) for field in fields})


def _revoke_token(options: argparse.Namespace) -> int:
    from sennit import remote

    remote.call_control(options, lambda client: client.revoke_token(options.id))
    return ExitStatus.OK


def _list_tokens(options: argparse.Namespace) -> int:
    from sennit import remote

    found = remote.call_control(options, lambda client: client.tokens())
    if options.json:
        print(json.dumps([token.model_dump(mode="json") for token in found], indent=2))
    else:
        heads = ("ID", "NAME", "ROLE", "EDGE", "MADE", "BY", "EXPIRES", "REVOKED")
        print(remote.format_table(heads, [_token_row(token) for token in found]))
    return ExitStatus.OK


def _token_row(token: "TokenView") -> tuple[str, ...]:
    def time(value: object) -> str:
        return f"{value:%Y-%m-%d %H:%M}" if value else "-"

    return (
        str(token.id), token.name, token.role.value, str(token.edge_id or "-"), time(token.created_at),
        token.created_by, time(token.expires_at), time(token.revoked_at),
    )  # fmt: skip


def _show_identity(options: argparse.Namespace) -> int:
    from sennit import remote

    identity = remote.call_control(options, lambda client: client.who_am_i())
    print(identity.model_dump_json(indent=2) if options.json else f"{identity.name}, role {identity.role}")
    return ExitStatus.OK
