"""List, show, drain, undrain, disable, move, set, re-enrol and remove edges; accept or refuse what they report."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from balancer.api.client import ControlClient
    from balancer.api.schemas import EdgePatch, EdgeView

_WANTED = {"drain": "draining", "undrain": "active", "disable": "disabled"}


def run(arguments: list[str]) -> int:
    from sennit import remote

    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.action == "set" and bool(options.edge) == options.every:
        parser.error("name edges, or give --every")
    if options.action == "re-enrol":
        return _create_token(options)
    found, newest = remote.call_control(options, lambda client: _run_and_compare(client, options))
    if options.action == "remove":
        return ExitStatus.OK
    if options.json:
        views = [edge.model_dump(mode="json") for edge in found]
        print(json.dumps(views if options.action in ("list", "set") else views[0], indent=2))
    else:
        heads = ("ID", "NAME", "SITE", "WEIGHT", "TUNNEL", "WANTED", "STATE", "HEALTH", "APPLIED", "WHY")
        print(remote.format_table(heads, [_edge_row(edge, newest) for edge in found]))
        if options.action not in ("list", "set"):
            print("\n".join(_detail_lines(found[0])))
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit edges", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    remote.add_options(actions.add_parser("list", help="list every edge"))
    for action, words in {
        "show": "show one edge",
        "drain": "stop new sessions at an edge, then withdraw it",
        "undrain": "end a drain",
        "disable": "refuse new subflows to an edge",
        "accept": "accept the tunnel address or key that an edge reports now",
        "refuse": "refuse it: what was accepted before stays published",
        "remove": "remove an edge; its id is quarantined",
    }.items():
        one = actions.add_parser(action, help=words)
        one.add_argument("edge", help="name or id")
        remote.add_options(one, changes=action != "show")
        if action == "drain":
            one.add_argument("--wait", action="store_true", help="wait until no session is left")
    again = actions.add_parser(
        "re-enrol", help="create a token for an edge whose disk is lost: it keeps its id"
    )
    again.add_argument("edge", help="name or id")
    again.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write it there, readable by you only"
    )
    again.add_argument("--expires-seconds", type=int, default=3600, metavar="N")
    remote.add_options(again, changes=True)
    move = actions.add_parser("move", help="move an edge to another site")
    move.add_argument("edge", help="name or id")
    move.add_argument("site")
    remote.add_options(move, changes=True)
    change = actions.add_parser(
        "set", help="set an edge's weight in its site's ring, or the format of tunnels to it"
    )
    change.add_argument("edge", nargs="*", help="names or ids")
    change.add_argument("--every", action="store_true", help="all edges")
    change.add_argument("--weight", type=int, metavar="N", help="share of the site's first subflows; 0: none")
    change.add_argument("--encapsulation", choices=("ipip", "gue"), help="format of tunnels to the edge")
    remote.add_options(change, changes=True)
    return parser


def _create_token(options: argparse.Namespace) -> int:
    """Create the enrolment token that gives an edge a new credential."""
    from balancer.api.schemas import EnrolmentTokenRequest, NewEnrolmentToken
    from sennit import remote

    async def create(client: "ControlClient") -> NewEnrolmentToken:
        edge = _find_edge(await client.edges(), options.edge)
        body = EnrolmentTokenRequest(
            edge_name=edge.name, replaces=True, expires_seconds=options.expires_seconds, note=options.reason
        )
        return await client.create_enrolment_token(body)

    token = remote.call_control(options, create)
    if options.output:
        remote.write_token(options.output, token.token)
    else:
        print(token.model_dump_json(indent=2) if options.json else token.token)
    return ExitStatus.OK


async def _run_and_compare(
    client: "ControlClient", options: argparse.Namespace
) -> "tuple[list[EdgeView], int]":
    """Return the edges, and the newest generation with which to compare what they have applied."""
    return await _run_action(client, options), await client.newest_generation()


async def _run_action(client: "ControlClient", options: argparse.Namespace) -> "list[EdgeView]":
    from balancer.api.schemas import EdgePatch
    from node.state.desired_state import AdminState

    every = await client.edges()
    if options.action == "list":
        return every
    if options.action == "set":
        changed = every if options.every else [_find_edge(every, wanted) for wanted in options.edge]
        return [await client.patch_edge(edge.id, _edge_patch(options)) for edge in changed]
    edge = _find_edge(every, options.edge)
    if options.action == "remove":
        await client.remove_edge(edge.id)
    elif options.action == "accept":
        edge = await _accept_pending(client, edge)
    elif options.action == "refuse":
        await client.refuse_pending(edge.id)
        edge = await client.edge(edge.id)
    elif options.action == "move":
        edge = await client.patch_edge(edge.id, EdgePatch(site=options.site))
    elif options.action in _WANTED:
        edge = await client.set_admin_state(edge.id, AdminState(_WANTED[options.action]))
        if options.action == "drain" and options.wait:
            from sennit.drain_progress import wait_for_drain

            edge = await wait_for_drain(client, edge.id)
    return [edge]


async def _accept_pending(client: "ControlClient", edge: "EdgeView") -> "EdgeView":
    """Accept what the edge reports, as it was just read: a newer report is refused."""
    from balancer.api.schemas import EdgeReport

    if edge.pending is None:
        raise CommandError(f"{edge.name} reports nothing that is not accepted")
    print(f"{edge.name}: {describe_pending(edge)}", file=sys.stderr)
    return await client.accept_pending(edge.id, EdgeReport.model_validate(edge.pending.values()))


def describe_pending(edge: "EdgeView") -> str:
    """Return the fields that an edge reports otherwise than they are accepted."""
    if edge.pending is None:
        return ""
    reported = edge.pending.values()
    return ", ".join(
        f"{name} {getattr(edge, name) or 'none'} -> {value or 'none'}"
        for name, value in reported.items()
        if value != (str(accepted) if (accepted := getattr(edge, name)) else None)
    )


def _find_edge(every: "list[EdgeView]", wanted: str) -> "EdgeView":
    edge = next((each for each in every if wanted in (each.name, str(each.id))), None)
    if edge is None:
        raise CommandError(f"there is no edge {wanted}", hint="`sennit edges list` lists them")
    return edge


def _edge_patch(options: argparse.Namespace) -> "EdgePatch":
    from pydantic import ValidationError

    from balancer.api.schemas import EdgePatch

    given = {name: getattr(options, name) for name in ("weight", "encapsulation")}
    try:
        return EdgePatch.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise CommandError(f"--weight: {error.errors()[0]['msg'].lower()}", status=ExitStatus.USAGE) from None


def describe_applied(applied: int | None, newest: int) -> str:
    """Describe the generation that a forwarder has applied, compared with the newest."""
    from balancer.api.numbers import describe_number, epoch_of

    if applied is None:
        return "-"
    if applied > newest:
        return f"{describe_number(applied)} (unknown: newest is {describe_number(newest)})"
    if epoch_of(applied) < epoch_of(newest):
        return f"{describe_number(applied)} (older epoch)"
    return describe_number(applied) + (f" ({newest - applied} behind)" if applied < newest else "")


def _edge_row(edge: "EdgeView", newest: int) -> tuple[str, ...]:
    tunnel = " ".join(str(address) for address in (edge.tunnel_v4, edge.tunnel_v6) if address)
    tunnel += " gue" if edge.encapsulation == "gue" else ""
    lease = edge.lease
    applied = describe_applied(lease.applied_generation if lease else None, newest)
    reasons = [each.reason for each in edge.health.reasons]
    why = "; ".join([*reasons, f"pending: {describe_pending(edge)}"] if edge.pending else reasons)
    health = edge.health.state.value
    return (
        str(edge.id), edge.name, edge.site, str(edge.weight), tunnel,
        edge.admin_state.value, edge.state.value, health, applied, why,
    )  # fmt: skip


def _detail_lines(edge: "EdgeView") -> list[str]:
    """Return details of one edge: since when, why, and the progress of its drain."""
    lines = [f"\n{edge.health.state.value} since {edge.health.since:%Y-%m-%d %H:%M:%S} UTC"]
    lines += [f"  {each.since:%H:%M:%S}  {each.reason}" for each in edge.health.reasons]
    if edge.pending is not None:
        since = f"{edge.pending.reported_at:%Y-%m-%d %H:%M:%S} UTC"
        lines.append(f"reports since {since}, not accepted: {describe_pending(edge)}")
        lines.append(f"  `sennit edges accept {edge.name}` or `sennit edges refuse {edge.name}`")
    if lease := edge.lease:
        announced = "announced" if lease.announcing else "not announced"
        granted = ", withdrawn for a soft failure by a grant" if lease.granted else ""
        sessions = "" if lease.sessions is None else f", {lease.sessions} sessions"
        drain = f", drain: {lease.drain.value}" if lease.drain else ""
        lines.append(f"{announced}{granted}{sessions}{drain}")
    return lines
