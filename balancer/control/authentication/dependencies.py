"""Dependencies of endpoints: the caller, by bearer token or the page's cookie, and checks of its role."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPBearer

from balancer.api.access import Role
from balancer.control.authentication.authenticator import Authenticator
from balancer.control.authentication.caller import Caller, sha256_hex
from balancer.control.authentication.lookup import find_login_token
from balancer.control.http.paging import EdgeIdPath
from balancer.control.http.parts import provide_part
from balancer.control.http.problems import Refusal

COOKIE = "__Host-sennit"  # the prefix makes browsers insist on Secure, Path=/ and no other host's cookie
_SAFE = ("GET", "HEAD", "OPTIONS")
_documented = HTTPBearer(auto_error=False, description="A token, of an operator or of an edge.")
AuthenticatorPart = Annotated[Authenticator, Depends(provide_part(Authenticator))]


def bearer_sha256(request: Request) -> str:
    """Return the hash of the request's bearer token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(401, "token-missing", "send `Authorization: Bearer TOKEN`", field="authorization")
    return sha256_hex(token.strip())


async def presented_sha256(request: Request, _: Annotated[object, Security(_documented)] = None) -> str:
    """Return the hash of a token that does not identify a caller yet: an edge that enrols."""
    return bearer_sha256(request)


async def identify_caller(
    request: Request,
    authenticator: AuthenticatorPart,
    _: Annotated[object, Security(_documented)] = None,
    sennit_reason: Annotated[str, Header(max_length=800, description="Why, for the audit log.")] = "",
) -> Caller:
    """Find the caller by token, or else by cookie."""
    why = _decode_header(sennit_reason)[:200]
    if "authorization" in request.headers and (known := authenticator.find_in_memory(bearer_sha256(request))):
        return replace(known, why=why)
    cookie = request.cookies.get(COOKIE)
    by_cookie = cookie is not None and "authorization" not in request.headers
    async with authenticator.store.read() as session:
        if by_cookie and cookie:
            check_origin(request)
            with authenticator.limit_guesses(client_host(request), ""):
                presented = await find_login_token(session, sha256_hex(cookie), authenticator.store.now())
                if presented is None:
                    raise Refusal(401, "login-ended", "log in again", field="cookie")
        else:
            presented = bearer_sha256(request)
        with authenticator.limit_guesses(client_host(request), presented):
            found = await authenticator.find_holder(session, presented)
    return replace(found, by_cookie=by_cookie, why=why)


def client_host(request: Request) -> str:
    """Return the address that the request came from."""
    return request.client.host if request.client else ""


def check_origin(request: Request, *, required: bool = True) -> None:
    """Refuse a change that another site's page requests; a second barrier beside SameSite=Strict."""
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


Anyone = Annotated[Caller, Depends(identify_caller)]


def _require_role(role: Role) -> Callable[[Caller], Awaitable[Caller]]:
    async def check(caller: Anyone) -> Caller:
        if not caller.may(role):
            raise Refusal(403, "not-permitted", f"this needs the role {role.value}", field="authorization")
        return caller

    return check


async def require_own(edge_id: EdgeIdPath, caller: Anyone) -> Caller:
    """Permit the edge of the path's id, and the role read."""
    if caller.edge_id != edge_id and not caller.may(Role.READ):
        raise Refusal(403, "not-permitted", "an edge's token is valid for its own id only", field="edge_id")
    return caller


async def require_edge_or_admin(caller: Anyone) -> Caller:
    """Permit edges and admins: for secrets that the fleet shares."""
    if caller.role is not Role.EDGE and not caller.may(Role.ADMIN):
        raise Refusal(403, "not-permitted", "this is for edges and the role admin", field="authorization")
    return caller


async def require_edge(caller: Anyone) -> Caller:
    """Permit edges only: for what is each edge's own."""
    if caller.edge_id is None:
        raise Refusal(403, "not-permitted", "this is for edges", field="authorization")
    return caller


async def require_own_lease(edge_id: EdgeIdPath, caller: Anyone) -> Caller:
    """Permit the edge of the path's id, and admins."""
    if caller.edge_id != edge_id and not caller.may(Role.ADMIN):
        raise Refusal(403, "not-permitted", "an edge's token is valid for its own id only", field="edge_id")
    return caller


Reader = Annotated[Caller, Depends(_require_role(Role.READ))]
Operator = Annotated[Caller, Depends(_require_role(Role.OPERATE))]
Admin = Annotated[Caller, Depends(_require_role(Role.ADMIN))]
EdgeOrAdmin = Annotated[Caller, Depends(require_edge_or_admin)]
Owner = Annotated[Caller, Depends(require_own)]
LeaseHolder = Annotated[Caller, Depends(require_own_lease)]
Edge = Annotated[Caller, Depends(require_edge)]
