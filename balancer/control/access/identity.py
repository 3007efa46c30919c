"""Who is asking: bearer tokens and the page's cookie, of which only SHA-256 hashes are kept, and their roles."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.access import Role
from balancer.control.access.login import repository as logins
from balancer.control.access.tokens import repository as tokens
from balancer.control.edges import repository as edges
from balancer.control.http.paging import EdgeIdPath
from balancer.control.http.problems import Refusal
from balancer.control.plane import ControlPlane, Plane

COOKIE = "__Host-sennit"  # the prefix makes browsers insist on Secure, Path=/ and no other host's cookie
_RANK = {Role.READ: 0, Role.OPERATE: 1, Role.ADMIN: 2}
_SAFE = ("GET", "HEAD", "OPTIONS")
_documented = HTTPBearer(auto_error=False, description="A token, of an operator or of an edge.")


@dataclass(frozen=True, slots=True)
class Identity:
    """The holder of a token and, with `why`, a change's reason; an edge's is good for its own id only."""

    role: Role
    name: str
    edge_id: int | None = None
    by_cookie: bool = False
    why: str = ""

    def because(self, why: str) -> "Identity":
        """Return the same with a reason from the body, where there is one."""
        return replace(self, why=why) if why else self

    def may(self, role: Role) -> bool:
        """Whether it can do what that role can."""
        return self.role is not Role.EDGE and _RANK[self.role] >= _RANK[role]


def sha256_hex(token: str) -> str:
    """Hash a token as it is stored. Tokens are random and long, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def bearer_sha256(request: Request) -> str:
    """Read the request's token and hash it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(401, "token-missing", "send `Authorization: Bearer TOKEN`", field="authorization")
    return sha256_hex(token.strip())


async def presented_sha256(request: Request, _: Annotated[object, Security(_documented)] = None) -> str:
    """The same as a dependency, which for once is no identity: an edge that enrols has none yet."""
    return bearer_sha256(request)


async def identify_caller(
    request: Request,
    plane: Plane,
    _: Annotated[object, Security(_documented)] = None,
    sennit_reason: Annotated[str, Header(max_length=800, description="Why, for the audit log.")] = "",
) -> Identity:
    """Find who is asking, by token or else by cookie."""
    if "authorization" in request.headers and (known := _find_in_memory(plane, bearer_sha256(request))):
        return replace(known, why=_decode_header(sennit_reason)[:200])
    cookie = request.cookies.get(COOKIE)
    by_cookie = cookie is not None and "authorization" not in request.headers
    async with plane.store.read() as session:
        if by_cookie and cookie:
            check_origin(request)
            shown = await logins.find_token(session, sha256_hex(cookie), plane.clock.now())
            if shown is None:
                raise Refusal(401, "login-ended", "log in again", field="cookie")
        else:
            shown = bearer_sha256(request)
        found = await find_holder(plane, session, shown)
    return replace(found, by_cookie=by_cookie, why=_decode_header(sennit_reason)[:200])


def _find_in_memory(plane: ControlPlane, shown: str) -> Identity | None:
    """Who that is, where it can be said without asking the database."""
    if hmac.compare_digest(shown, plane.admin_sha256):
        return Identity(Role.ADMIN, "admin")
    edge = plane.directory.of_credential(shown)
    return Identity(Role.EDGE, edge.name, edge.id) if edge else None


async def find_holder(plane: ControlPlane, session: AsyncSession, shown: str) -> Identity:
    """Find whose token it is; 410 tells a removed edge so, which is not the same as an unknown token."""
    if known := _find_in_memory(plane, shown):
        return known
    edge = await edges.find_by_credential(session, shown)
    if edge and hmac.compare_digest(shown, edge.credential_sha256):
        return Identity(Role.EDGE, edge.name, edge.id)
    token = await tokens.find_by_hash(session, shown)
    if token and token.usable(plane.clock.now()) and hmac.compare_digest(shown, token.token_sha256):
        return Identity(Role(token.role), token.name, token.edge_id)
    if await edges.was_removed(session, shown):
        raise Refusal(410, "edge-removed", "this edge was removed", field="authorization")
    raise Refusal(401, "token-refused", "this token is unknown", field="authorization")


def check_origin(request: Request, *, required: bool = True) -> None:
    """A browser names the page that makes it change something; SameSite=Strict is the first line, this the second."""
    if request.method in _SAFE:
        return
    origin = request.headers.get("origin", "")
    if (origin or required) and urlsplit(origin).netloc != request.headers.get("host"):
        raise Refusal(
            403, "cross-site", "with the cookie, only the page itself changes things", field="origin"
        )


def _decode_header(header: str) -> str:
    # HTTP libraries read headers as latin-1; reasons are UTF-8
    return header.encode("latin-1", "replace").decode("utf-8", "replace")


Anyone = Annotated[Identity, Depends(identify_caller)]


def _require_role(role: Role) -> Callable[[Identity], Awaitable[Identity]]:
    async def check(identity: Anyone) -> Identity:
        if not identity.may(role):
            raise Refusal(403, "not-permitted", f"this needs the role {role.value}", field="authorization")
        return identity

    return check


async def require_own(edge_id: EdgeIdPath, identity: Anyone) -> Identity:
    """Let only the edge of the path's id on, or who may read everything."""
    if identity.edge_id != edge_id and not identity.may(Role.READ):
        raise Refusal(403, "not-permitted", "an edge's token is good for its own id only", field="edge_id")
    return identity


async def require_edge_or_admin(identity: Anyone) -> Identity:
    """Permit edges and admins: for secrets that the fleet shares."""
    if identity.role is not Role.EDGE and not identity.may(Role.ADMIN):
        raise Refusal(403, "not-permitted", "this is for edges and the role admin", field="authorization")
    return identity


async def require_own_lease(edge_id: EdgeIdPath, identity: Anyone) -> Identity:
    """Let only the edge of the path's id on, or the admin."""
    if identity.edge_id != edge_id and not identity.may(Role.ADMIN):
        raise Refusal(403, "not-permitted", "an edge's token is good for its own id only", field="edge_id")
    return identity


Reader = Annotated[Identity, Depends(_require_role(Role.READ))]
Operator = Annotated[Identity, Depends(_require_role(Role.OPERATE))]
Admin = Annotated[Identity, Depends(_require_role(Role.ADMIN))]
EdgeOrAdmin = Annotated[Identity, Depends(require_edge_or_admin)]
Owner = Annotated[Identity, Depends(require_own)]
LeaseHolder = Annotated[Identity, Depends(require_own_lease)]
