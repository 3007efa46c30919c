"""Add, list and remove VIPs, the anycast service addresses."""

import argparse
import json
from typing import TYPE_CHECKING

from runtime.errors import ExitStatus

if TYPE_CHECKING:
    from balancer.api.client import ControlClient
    from balancer.api.schemas import VipBody


def run(arguments: list[str]) -> int:
    from sennit import remote

    options = build_parser().parse_args(arguments)
    vips = remote.call_control(options, lambda client: _run_action(client, options))
    if options.json:
        print(json.dumps([vip.model_dump(mode="json") for vip in vips], indent=2))
    elif options.action != "remove":
        heads = ("NAME", "V4", "V6", "SERVICE", "LOCATORS", "REPLIES")
        rows: list[tuple[str, ...]] = [
            (
                vip.name,
                str(vip.v4 or "-"),
                str(vip.v6 or "-"),
                str(vip.service_port),
                _describe_locators(vip),
                vip.replies.value,
            )
            for vip in vips
        ]
        print(remote.format_table(heads, rows))
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit vip", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="list every VIP")
    add = actions.add_parser("add", help="add a VIP; repeating it changes nothing")
    remove = actions.add_parser("remove", help="remove a VIP that no edge serves")
    for each in (add, remove):
        each.add_argument("name")
    add.add_argument("--v4", metavar="ADDRESS")
    add.add_argument("--v6", metavar="ADDRESS")
    add.add_argument("--service-port", type=int, default=443, metavar="PORT")
    add.add_argument(
        "--id-port-base", type=int, default=10_000, metavar="PORT", help="edge N has this port + N"
    )
    add.add_argument(
        "--locator",
        choices=("port", "address", "mixed"),
        default="port",
        help="what carries the edge id of secondary subflows: the port, the low bits of the address, or the port over"
        " IPv4 and the address over IPv6",
    )
    add.add_argument(
        "--replies",
        choices=("symmetric", "direct"),
        default="symmetric",
        help="route of replies on forwarded subflows: through the ingress edge, or by the owner's uplink",
    )
    remote.add_options(listing)
    for each in (add, remove):
        remote.add_options(each, changes=True)
    return parser


def _describe_locators(vip: "VipBody") -> str:
    port = f"{vip.id_port_base} + id"
    return {"port": port, "address": "address + id", "mixed": f"{port}, address + id"}[vip.locator]


async def _run_action(client: "ControlClient", options: argparse.Namespace) -> "list[VipBody]":
    from balancer.api.schemas import VipBody
    from sennit.checked_bodies import make_body

    if options.action == "list":
        return await client.vips()
    if options.action == "remove":
        await client.remove_vip(options.name)
        return []
    fields = ("name", "v4", "v6", "service_port", "id_port_base", "locator", "replies")
    body = make_body(VipBody, {field: getattr(options, field) for field in fields})
    return [await client.add_vip(body)]
