"""Who is asking: bearer tokens, of which only SHA-256 hashes are kept, and the roles they give."""

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from fastapi import Depends, Request

from balancer.control.edges import repository as edges
from balancer.control.plane import Plane
from balancer.control.problems import Refusal


class Role(Enum):
    """What a token is good for."""

    ADMIN = "admin"
    EDGE = "edge"


@dataclass(frozen=True, slots=True)
class Identity:
    """The holder of a token; an edge's is good for its own id only."""

    role: Role
    name: str
    edge_id: int | None = None


def sha256_hex(token: str) -> str:
    """Hash a token as it is stored. Tokens are random and long, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def bearer_sha256(request: Request) -> str:
    """Read the request's token and hash it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(401, "token-missing", "send `Authorization: Bearer TOKEN`", field="authorization")
    return sha256_hex(token.strip())


async def identify(request: Request, plane: Plane) -> Identity:
    """Find whose token it is; 410 tells a removed edge so, which is not the same as an unknown token."""
    shown = bearer_sha256(request)
    if hmac.compare_digest(shown, plane.admin_sha256):
        return Identity(Role.ADMIN, "admin")
    async with plane.store.read() as session:
        edge = await edges.by_credential(session, shown)
        if edge and hmac.compare_digest(shown, edge.credential_sha256):
            return Identity(Role.EDGE, edge.name, edge.id)
        if await edges.was_removed(session, shown):
            raise Refusal(410, "edge-removed", "this edge was removed")
    raise Refusal(401, "token-refused", "nobody has this token", field="authorization")


Anyone = Annotated[Identity, Depends(identify)]


def require_admin(identity: Anyone) -> Identity:
    """Let only the admin on."""
    if identity.role is not Role.ADMIN:
        raise Refusal(403, "not-permitted", "this needs the role admin")
    return identity


def require_own(edge_id: int, identity: Anyone) -> Identity:
    """Let only the edge of the path's id on, or the admin."""
    if identity.role is not Role.ADMIN and identity.edge_id != edge_id:
        raise Refusal(403, "not-permitted", "an edge's token is good for its own id only")
    return identity


Admin = Annotated[Identity, Depends(require_admin)]
Owner = Annotated[Identity, Depends(require_own)]
