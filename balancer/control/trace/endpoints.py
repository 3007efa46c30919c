"""`/v1/trace`: the forwarder's decision on the current table. No counter changes."""

from typing import Annotated

from fastapi import APIRouter, Query

from balancer.api.schemas import TraceEdge, TraceView
from balancer.control.authentication.dependencies import Reader
from balancer.control.http.problems import Refusal, refusal_responses
from balancer.control.table.watch import WatchPart
from balancer.model.place import Places
from balancer.model.reference.decision import ReferenceForwarder
from balancer.model.reference.packet import mapped_address
from balancer.model.reference.trace import PacketEndpoint, Untraceable, forwarder_at, next_hop, trace
from balancer.model.table import ForwardingTable, TableEdge
from balancer.model.verdict import EXPLAINED

router = APIRouter(prefix="/v1/trace", tags=["trace"])


@router.get("", responses=refusal_responses(401, 403, 404, 409))
async def trace_packet(
    watch: WatchPart,
    _: Reader,
    ingress: Annotated[str, Query(description="Name or id of the edge where it enters.", examples=["edge2"])],
    source: Annotated[str, Query(description="ADDRESS:PORT", examples=["10.2.0.2:40000"])],
    destination: Annotated[str, Query(description="ADDRESS:PORT", examples=["203.0.113.1:10001"])],
    established: Annotated[bool, Query(description="Not a SYN, but a later packet.")] = False,
) -> TraceView:
    """Return what a forwarder does with a TCP packet, and why."""
    table = watch.current
    edge = next((one for one in table.edges if ingress in (one.name, str(one.id))), None)
    if edge is None:
        raise Refusal(404, "no-such-edge", f"the table has no edge {ingress}", field="ingress")
    ends = {"source": source, "destination": destination}
    parsed = {field: _parse_endpoint(field, text) for field, text in ends.items()}
    forwarder = _find_forwarder(edge, parsed["destination"], table)
    outcome = trace(forwarder, parsed["source"], parsed["destination"], opens=not established)
    owner = next_hop(outcome, forwarder)
    return TraceView(
        ingress=_trace_edge(edge),
        reason=outcome.reason.name.lower(),
        meaning=EXPLAINED[outcome.reason],
        to=_trace_edge(owner) if owner else None,
        generation=table.generation,
    )


def _parse_endpoint(field: str, text: str) -> PacketEndpoint:
    try:
        return PacketEndpoint.parse(text)
    except Untraceable as error:
        raise Refusal(422, "invalid-request", str(error), field=field) from None


def _find_forwarder(
    edge: TableEdge, destination: PacketEndpoint, table: ForwardingTable
) -> ReferenceForwarder:
    place = Places.of(table.vips).find(mapped_address(str(destination.address)))
    if place is None:
        raise Refusal(422, "not-a-vip", f"{destination.address} is no VIP", field="destination")
    try:
        return forwarder_at(edge.id, place.vip, table)
    except Untraceable as error:
        raise Refusal(409, "not-traceable", str(error), field="ingress") from None


def _trace_edge(edge: TableEdge) -> TraceEdge:
    return TraceEdge.model_validate(
        {"id": edge.id, "name": edge.name, "state": edge.state, "tunnel_v4": edge.tunnel_v4}
    )
