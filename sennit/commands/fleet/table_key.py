"""Print the key that forwarding tables are signed with, as the nodes' /etc/sennit/table.key holds it; or rotate it."""

import argparse
import asyncio
import json
import os
from pathlib import Path

from runtime.errors import CommandError, ExitStatus

STEPS = ("begin", "finish", "cancel", "replace")


def run(arguments: list[str]) -> int:
    from sennit import remote

    options = build_parser().parse_args(arguments)
    if options.action is None:
        from node.state.table_key import encode_key

        print(json.dumps(encode_key(remote.call_control(options, lambda client: client.table_key()))))
        return ExitStatus.OK
    if getattr(options, "state", None) is not None:
        return _replace_offline(options)
    return _rotate_key(options)


def _replace_offline(options: argparse.Namespace) -> int:
    from balancer.control.offline_key import replace_key_offline
    from balancer.control.unusable_state import StateUnusable

    try:
        replaced = asyncio.run(replace_key_offline(options.state, options.database, options.reason))
    except StateUnusable as error:
        raise CommandError(str(error), hint=error.hint) from None
    except ValueError as error:
        raise CommandError(str(error)) from None
    if options.json:
        print(json.dumps({"current": replaced.key.hex(), "lost_secrets": replaced.lost_secrets}, indent=2))
        return ExitStatus.OK
    print(f"key   {replaced.key.hex()}")
    for name in replaced.lost_secrets:
        print(f"lost  secret {name}")
    return ExitStatus.OK


def _rotate_key(options: argparse.Namespace) -> int:
    from balancer.api.tables import KeyRotationRequest
    from sennit import remote

    if options.action == "status":
        view = remote.call_control(options, lambda client: client.key_rotation())
    else:
        body = KeyRotationRequest(action=options.action, force=getattr(options, "force", False))
        view = remote.call_control(options, lambda client: client.rotate_table_key(body))
    if options.json:
        print(view.model_dump_json(indent=2))
        return ExitStatus.OK
    print(f"key   {view.current}")
    if view.next:
        print(f"next  {view.next}")
    print(f"known to {view.ready} of {view.nodes} live nodes")
    if view.behind:
        print(f"not to edges {', '.join(map(str, view.behind))}")
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit table-key", description=__doc__)
    remote.add_options(parser, changes=False)
    actions = parser.add_subparsers(dest="action")
    status = actions.add_parser("status", help="show a rotation, and how many nodes know the newest key")
    remote.add_options(status)
    begin = actions.add_parser(
        "begin", help="create the next key, signed with the one in use; nodes learn it"
    )
    remote.add_options(begin, changes=True)
    finish = actions.add_parser("finish", help="sign with the next key from now on; nodes drop the old one")
    finish.add_argument(
        "--force", action="store_true", help="though some live nodes do not know the next key"
    )
    remote.add_options(finish, changes=True)
    remote.add_options(actions.add_parser("cancel", help="drop the next key"), changes=True)
    replace = actions.add_parser(
        "replace",
        help="a key was stolen or lost: use a new one at once, which nodes believe only once they are given it",
    )
    replace.add_argument(
        "--state",
        type=Path,
        metavar="FOLDER",
        help="act on this state folder while the control plane is stopped: without its key it does not start",
    )
    replace.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get("SENNIT_CONTROL_DATABASE"),
        help="with --state: the control plane's --database (or SENNIT_CONTROL_DATABASE)",
    )
    remote.add_options(replace, changes=True)
    return parser
