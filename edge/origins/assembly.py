"""Assemble the origins of an edge's only service, or of one of many."""

import httpx

from edge.origins.origin_client import OriginClient
from edge.origins.origin_group import GroupMember, ServiceOrigins
from edge.origins.origin_state import OriginState
from edge.origins.selection import WeightedTurns
from services.origins import Origin, Retry

UPSTREAM_NAME = "upstream"  # of the origin that `--upstream` names
UPSTREAM_CONNECTIONS = 256
UPSTREAM_CONNECT_TIMEOUT = 5.0


def single_origin(
    url: str,
    name: str,
    transport: httpx.AsyncBaseTransport | None = None,
    *,
    connections: int = UPSTREAM_CONNECTIONS,
) -> ServiceOrigins:
    """Make a group of one origin, at any address; `name` is the edge's."""
    origin = Origin(
        name=UPSTREAM_NAME, url=url, connections=connections, connect_timeout=UPSTREAM_CONNECT_TIMEOUT
    )
    member = GroupMember(
        origin, OriginClient(origin, name, transport=transport), OriginState(origin.ejection)
    )
    return ServiceOrigins("", [member], WeightedTurns(), Retry())
