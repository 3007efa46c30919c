"""List, add, change and remove sites: edges behind one router."""

import argparse
import json
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from balancer.api.client import ControlClient
    from balancer.api.sites import SiteView


def run(arguments: list[str]) -> int:
    from sennit import remote

    options = build_parser().parse_args(arguments)
    found = remote.call_control(options, lambda client: _run_action(client, options))
    if options.json:
        print(json.dumps([site.model_dump(mode="json") for site in found], indent=2))
    elif options.action != "remove":
        rows = [
            (
                each.name,
                "on" if each.ring else "off",
                *map(str, (each.edges, each.up, each.draining, each.down)),
                each.description,
            )
            for each in found
        ]
        print(remote.format_table(("NAME", "RING", "EDGES", "UP", "DRAINING", "DOWN", "DESCRIPTION"), rows))
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit sites", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    remote.add_options(actions.add_parser("list", help="list every site, and the health of its edges"))
    add = actions.add_parser("add", help="add a site; an edge that enrols adds its own automatically")
    add.add_argument("--description", default="", metavar="TEXT")
    change = actions.add_parser("set", help="set the description of a site, or whether its edges have a ring")
    change.add_argument("--description", metavar="TEXT")
    change.add_argument("--ring", choices=("on", "off"))
    change.add_argument(
        "--new-seed",
        action="store_true",
        help="draw anew which flow is whose, by a secret of the edges; flows that have begun stay where they are",
    )
    add.add_argument(
        "--ring",
        choices=("on", "off"),
        default="off",
        help="the router may send any packet to any edge: they agree by weight on the owner of a first subflow",
    )
    remove = actions.add_parser("remove", help="remove a site without edges")
    for each in (add, change, remove):
        each.add_argument("name")
        remote.add_options(each, changes=True)
    return parser


async def _run_action(client: "ControlClient", options: argparse.Namespace) -> "list[SiteView]":
    from pydantic import ValidationError

    from balancer.api.sites import SiteBody, SitePatch

    if options.action == "list":
        return await client.sites()
    if options.action == "remove":
        await client.remove_site(options.name)
        return []
    if options.action == "set":
        ring = None if options.ring is None else options.ring == "on"
        body = SitePatch(description=options.description, ring=ring, new_seed=options.new_seed)
        return [await client.patch_site(options.name, body)]
    try:
        added = SiteBody(name=options.name, description=options.description, ring=options.ring == "on")
        return [await client.add_site(added)]
    except ValidationError:
        raise CommandError(f"{options.name}: a name is like a DNS label", status=ExitStatus.USAGE) from None
