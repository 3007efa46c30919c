"""List, add and remove sites: edges behind one router."""

import argparse
import json
from typing import TYPE_CHECKING

from sennit.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from balancer.api.client import ControlClient
    from balancer.api.sites import SiteView


def run(arguments: list[str]) -> int:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit sites", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    remote.add_options(actions.add_parser("list", help="every site, and how its edges are"))
    add = actions.add_parser("add", help="a site; an edge that enrols makes its own by itself")
    add.add_argument("--description", default="", metavar="TEXT")
    remove = actions.add_parser("remove", help="a site without edges")
    for each in (add, remove):
        each.add_argument("name")
        remote.add_options(each, changes=True)
    options = parser.parse_args(arguments)
    found = remote.call(options, lambda client: _do(client, options))
    if options.json:
        print(json.dumps([site.model_dump(mode="json") for site in found], indent=2))
    elif options.action != "remove":
        rows = [
            (each.name, str(each.edges), str(each.up), str(each.draining), str(each.down), each.description)
            for each in found
        ]
        print(remote.table(("NAME", "EDGES", "UP", "DRAINING", "DOWN", "DESCRIPTION"), rows))
    return ExitStatus.OK


async def _do(client: "ControlClient", options: argparse.Namespace) -> "list[SiteView]":
    from pydantic import ValidationError

    from balancer.api.sites import SiteBody

    if options.action == "list":
        return await client.sites()
    if options.action == "remove":
        await client.remove_site(options.name)
        return []
    try:
        return [await client.add_site(SiteBody(name=options.name, description=options.description))]
    except ValidationError:
        raise CommandError(f"{options.name}: a name is like a DNS label", status=ExitStatus.USAGE) from None
