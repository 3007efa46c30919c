"""What an edge says of itself: where it is, and its agent's key. All forwarders and agents act on it.

It is accepted with a one-time token, which an operator made. What an enrolled edge reports beside that is pending: the
accepted values stay in the table until an operator accepts the new ones.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.access import Role
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.http.problems import Refusal
from balancer.control.registry import edges
from balancer.control.storage.records import EdgeRecord
from balancer.control.vips import repository as vips
from balancer.control.vips.published import vip_of
from balancer.model.place import Places
from balancer.model.reference.packet import mapped_address

Values = Mapping[str, str | None]  # the fields of `EdgeReport`
TUNNELS = ("tunnel_v4", "tunnel_v6")
ABOUT_AGENT = ("outside", "peer_key")
FIELDS = (*TUNNELS, *ABOUT_AGENT)


def accepted_values(edge: EdgeRecord) -> dict[str, str | None]:
    """Return what is accepted of an edge."""
    return {name: getattr(edge, name) for name in FIELDS}


def pending_values(edge: EdgeRecord) -> dict[str, str | None] | None:
    """Return what is pending, without the time of the report."""
    return None if edge.pending is None else {name: edge.pending[name] for name in FIELDS}


async def check_addresses(
    session: AsyncSession,
    edge: EdgeRecord,
    reported: Values,
    prefixes: Sequence[IPv4Network | IPv6Network],
) -> None:
    """Refuse addresses of a VIP, of another edge's tunnels, and tunnels outside the operator's prefixes, or over a
    version of IP that another edge lacks."""
    with session.no_autoflush:
        places = Places.of(vip_of(vip) for vip in await vips.list_all(session))
        for field in (*TUNNELS, "outside"):
            address = reported[field]
            if address is None:
                continue
            if found := places.find(mapped_address(address)):
                detail = f"{address} is an address of the VIP {found.vip.name}: give the edge one of its own"
                raise Refusal(409, "tunnel-address-taken", detail, field=field)
            if field == "outside":
                continue
            _check_prefixes(field, address, prefixes)
            other = await edges.find_by_tunnel(session, field, address)
            if other and other.id != edge.id:
                detail = f"the edge {other.name} has this address"
                raise Refusal(409, "tunnel-address-taken", detail, field=field)
        await _check_families(session, edge, reported)


async def _check_families(session: AsyncSession, edge: EdgeRecord, reported: Values) -> None:
    """Refuse tunnels over one version of IP where another edge has only the other: no tunnel joins them.

    Every edge forwards to every other. What was accepted before is not refused: a start changes nothing.
    """
    if all(reported[field] == getattr(edge, field) for field in TUNNELS):
        return
    for field, version in zip(TUNNELS, ("IPv4", "IPv6"), strict=True):
        if reported[field] is not None and all(
            reported[other] is None for other in TUNNELS if other != field
        ):
            other = await edges.find_without_tunnel(session, field, edge.id)
            if other is not None:
                detail = (
                    f"the edge {other.name} has no tunnel address over {version}, and this one no other: give either "
                    "of them both, or no subflow gets from one to the other"
                )
                raise Refusal(409, "no-common-family", detail, field=field)


def _check_prefixes(field: str, address: str, prefixes: Sequence[IPv4Network | IPv6Network]) -> None:
    """Refuse a tunnel address outside the operator's prefixes: all forwarders would aim at what an edge names."""
    if prefixes and not any(ip_address(address) in prefix for prefix in prefixes):
        named = ", ".join(map(str, prefixes))
        detail = f"{address} is in none of the backbone's prefixes (tunnel_prefixes): {named}"
        raise Refusal(403, "tunnel-address-outside", detail, field=field)


def accept_values(edge: EdgeRecord, reported: Values) -> str:
    """Publish these values with the next table; return what changes, for the audit log."""
    change = describe_change(accepted_values(edge), reported)
    for name, value in reported.items():
        setattr(edge, name, value)
    return change


def hold_report(session: AsyncSession, edge: EdgeRecord, reported: Values, now: datetime) -> None:
    """Keep what an enrolled edge reports pending where it differs from what is accepted."""
    by = Caller(Role.EDGE, edge.name)
    if edge.peer_key is None and reported["peer_key"] is not None:
        # the first start of a release that has keys: nothing is replaced
        change = accept_values(edge, {name: reported[name] for name in ABOUT_AGENT})
        audit.record_change(session, now, by, "edge.key", edge.name, change)
    if accepted_values(edge) == dict(reported):
        if edge.pending is not None:
            audit.record_change(session, now, by, "edge.pending", edge.name, "reports what is accepted")
        edge.pending = None
    elif pending_values(edge) != dict(reported):
        change = describe_change(accepted_values(edge), reported)
        audit.record_change(session, now, by, "edge.pending", edge.name, change)
        edge.pending = {**reported, "reported_at": now.isoformat()}


def describe_change(before: Values, after: Values) -> str:
    """Return the fields that change, as `tunnel_v4 10.255.0.1 -> 10.255.9.9`."""
    changed = [name for name in after if after[name] != before[name]]
    return ", ".join(f"{name} {before[name] or 'none'} -> {after[name] or 'none'}" for name in changed)


def require_pending(edge: EdgeRecord) -> dict[str, Any]:
    """Return what is pending; Refusal where nothing is."""
    if (pending := pending_values(edge)) is None:
        raise Refusal(404, "nothing-pending", f"nothing is pending of edge {edge.name}", field="edge_id")
    return pending
