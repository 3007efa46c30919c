"""Every refusal leaves as RFC 9457 problem+json through the one handler set here."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from balancer.api.schemas import FieldError, Problem

log = logging.getLogger(__name__)

_SLUGS = {404: "no-such-resource", 405: "method-not-allowed", 408: "body-too-slow", 413: "body-too-large"}
_FIELDS = {404: "path", 405: "method", 408: "body", 413: "body"}
_MEANINGS = {
    401: "No token, or nobody's.",
    403: "The token's role does not allow it.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "It contradicts what exists.",
    410: "The edge was removed.",
    412: "It has changed since the ETag of If-Match.",
    413: "The body is too large.",
    422: "A field is wrong: `errors` names it.",
    429: "Too many of them.",
    503: "The database does not answer, or not in time.",
}
PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


class Refusal(Exception):
    """The control plane will not do this. `slug` is the reason's stable name, `field` what it is about."""

    def __init__(self, status: int, slug: str, detail: str, *, field: str) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.field = field


def problem(
    status: int,
    slug: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make the response."""
    body = Problem(
        type=f"urn:sennit:problem:{slug}",
        title=slug.replace("-", " ").capitalize(),
        status=status,
        detail=detail,
        errors=list(errors),
    )
    challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse(
        body.model_dump(),
        status_code=status,
        media_type="application/problem+json",
        headers=challenge | dict(headers or {}),
    )


def of_field(field: str, message: str) -> list[FieldError]:
    """The one error of a refusal that is about one thing."""
    return [FieldError(field=field, message=message)]


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe an operation's refusals in the OpenAPI document; 422 and 503 are every operation's."""
    return {status: _described(status) for status in sorted({*statuses, 422, 503})}


def also(status: int, model: type[BaseModel], description: str) -> dict[int | str, dict[str, Any]]:
    """Describe another good answer of an operation."""
    return {status: {"model": model, "description": description}}


def _described(status: int) -> dict[str, Any]:
    return {"description": _MEANINGS[status], "content": PROBLEM_CONTENT}


async def _handle(request: Request, error: Exception) -> Response:
    match error:
        case Refusal():
            return problem(error.status, error.slug, error.detail, of_field(error.field, error.detail))
        case RequestValidationError():
            errors = [_field_error(each["loc"], each["msg"]) for each in error.errors()]
            detail = "; ".join(f"{each.field}: {each.message}" for each in errors)
            return problem(422, "invalid-request", detail, errors)
        case HTTPException():
            slug = _SLUGS.get(error.status_code, "bad-request")
            headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
            errors = of_field(_FIELDS.get(error.status_code, "body"), str(error.detail))
            return problem(error.status_code, slug, str(error.detail), errors, headers)
    log.error("request failed", exc_info=error, extra={"path": request.url.path})
    return problem(500, "internal-error", "see the control plane's log")


def _allowed(request: Request) -> str:
    """Every method of the path: the router itself names those of one route only."""
    methods: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return ", ".join(sorted(methods))


def _field_error(location: Sequence[int | str], message: str) -> FieldError:
    # the location starts with body, query or path; a validator of the whole body names its field in the message
    names = [str(part) for part in location[1:] if not isinstance(part, int) or len(location) > 2]
    message = message.removeprefix("Value error, ")
    field, separator, rest = message.partition(": ")
    if not names and separator:
        return FieldError(field=field, message=rest)
    return FieldError(field=".".join(names) or str(location[0]), message=message)


def install(app: FastAPI) -> None:
    """Route every error of the application through the one handler."""
    for kind in (Refusal, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _handle)
