"""`/v1/login` and `/v1/logout`, for the page: a cookie that scripts cannot read and other sites cannot send.

A login lasts eight hours and no longer than its token. Only the cookie's hash is kept.
"""

import secrets
from datetime import timedelta

from fastapi import APIRouter, Request, Response

from balancer.api.access import IdentityView, LoginRequest, Role
from balancer.control.access.identity import COOKIE, holder, refuse_cross_site, sha256_hex
from balancer.control.access.login import repository
from balancer.control.audit import service as audit
from balancer.control.http.problems import Refusal, refusals
from balancer.control.plane import Plane
from balancer.control.storage.records import LoginRecord

router = APIRouter(prefix="/v1", tags=["login"])
LASTS = timedelta(hours=8)
MOST = 1000  # logins at once


@router.post("/login", responses=refusals(401, 403, 429))
async def log_in(plane: Plane, body: LoginRequest, request: Request, response: Response) -> IdentityView:
    """Exchange a token for a cookie: SameSite=Strict, HttpOnly, Secure."""
    refuse_cross_site(request, required=False)
    cookie, shown, now = secrets.token_urlsafe(32), sha256_hex(body.token.strip()), plane.clock.now()
    async with plane.store.change() as session:
        identity = await holder(plane, session, shown)
        if identity.role is Role.EDGE:
            raise Refusal(403, "not-permitted", "edges have no page", field="token")
        await repository.drop_expired(session, now)
        if await repository.count(session) >= MOST:
            raise Refusal(429, "too-many-logins", f"{MOST} logins are open", field="token")
        session.add(LoginRecord(cookie_sha256=sha256_hex(cookie), token_sha256=shown, expires_at=now + LASTS))
        audit.record(session, now, identity, "login", identity.name)
    response.set_cookie(
        COOKIE, cookie, max_age=int(LASTS.total_seconds()), secure=True, httponly=True, samesite="strict"
    )
    response.headers["Cache-Control"] = "no-store"
    return IdentityView(name=identity.name, role=identity.role, by="cookie")


@router.post("/logout", status_code=204, responses=refusals(403))
async def log_out(plane: Plane, request: Request, response: Response) -> None:
    """End the login whose cookie is shown; nothing where there is none."""
    refuse_cross_site(request, required=COOKIE in request.cookies)
    if cookie := request.cookies.get(COOKIE):
        async with plane.store.change() as session:
            await repository.drop(session, sha256_hex(cookie))
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")
