"""`/v1/login` and `/v1/logout`, for the page: a cookie that scripts cannot read and other sites cannot send.

A login lasts eight hours and no longer than its token. Only the cookie's hash is kept.
"""

import secrets
from datetime import timedelta

from fastapi import APIRouter, Request, Response

from balancer.api.access import IdentityView, LoginRequest, Role
from balancer.control.access.login import repository
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import sha256_hex
from balancer.control.authentication.dependencies import (
    COOKIE,
    AuthenticatorPart,
    check_origin,
    client_host,
)
from balancer.control.http.parts import StorePart
from balancer.control.http.problems import Refusal, refusal_responses
from balancer.control.storage.records import LoginRecord

router = APIRouter(prefix="/v1", tags=["login"])
LOGIN_LIFETIME = timedelta(hours=8)
MAXIMUM_LOGINS = 1000  # logins at once


@router.post("/login", responses=refusal_responses(401, 403, 429))
async def log_in(
    store: StorePart,
    authenticator: AuthenticatorPart,
    body: LoginRequest,
    request: Request,
    response: Response,
) -> IdentityView:
    """Exchange a token for a cookie: SameSite=Strict, HttpOnly, Secure."""
    check_origin(request, required=False)
    cookie, shown, now = secrets.token_urlsafe(32), sha256_hex(body.token.strip()), store.now()
    async with store.change() as session:
        with authenticator.limit_guesses(client_host(request), shown):
            identity = await authenticator.find_holder(session, shown)
        if identity.role is Role.EDGE:
            raise Refusal(403, "not-permitted", "the fleet page is not for edges", field="token")
        await repository.drop_expired(session, now)
        if await repository.count_logins(session) >= MAXIMUM_LOGINS:
            raise Refusal(429, "too-many-logins", f"{MAXIMUM_LOGINS} logins are open", field="token")
        session.add(
            LoginRecord(cookie_sha256=sha256_hex(cookie), token_sha256=shown, expires_at=now + LOGIN_LIFETIME)
        )
        audit.record_change(session, now, identity, "login", identity.name)
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=int(LOGIN_LIFETIME.total_seconds()),
        secure=True,
        httponly=True,
        samesite="strict",
    )
    response.headers["Cache-Control"] = "no-store"
    return IdentityView(name=identity.name, role=identity.role, by="cookie")


@router.post("/logout", status_code=204, responses=refusal_responses(403))
async def log_out(store: StorePart, request: Request, response: Response) -> None:
    """End the login of the presented cookie; does nothing without one."""
    check_origin(request, required=COOKIE in request.cookies)
    if cookie := request.cookies.get(COOKIE):
        async with store.change() as session:
            await repository.drop_login(session, sha256_hex(cookie))
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")
