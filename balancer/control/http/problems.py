"""Every refusal leaves as RFC 9457 problem+json through the one handler set here."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import DataError, InterfaceError, OperationalError, TimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from balancer.api.schemas import FieldError, Problem

log = logging.getLogger(__name__)

_SLUGS = {404: "no-such-resource", 405: "method-not-allowed", 408: "body-too-slow", 413: "body-too-large"}
_FIELDS = {404: "path", 405: "method", 408: "body", 413: "body"}
_MEANINGS = {
    401: "The token is missing or unknown.",
    403: "The token's role does not allow it.",
    404: "It does not exist.",
    408: "The body came too slowly.",
    409: "It contradicts what exists.",
    410: "The edge was removed.",
    412: "It has changed since the ETag of If-Match.",
    413: "The body is too large.",
    422: "A field is wrong: `errors` names it.",
    429: "There are too many.",
    503: "The database does not answer, or not in time.",
}
RETRY_AFTER = "2"  # seconds after which a database that is locked may be tried again
PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


class Refusal(Exception):
    """A refused request. `slug` is the reason's stable name, `field` the field of the request that is at fault.

    `errors` are all faults, where there may be several.
    """

    def __init__(
        self, status: int, slug: str, detail: str, *, field: str, errors: Sequence[FieldError] = ()
    ) -> None:
        super().__init__(detail)
        self.errors = list(errors) or of_field(field, detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.field = field


def problem_response(
    status: int,
    slug: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the problem+json response."""
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
    """Return the only error of a refusal that is about one field."""
    return [FieldError(field=field, message=message)]


def refusal_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe an operation's refusals in the OpenAPI document; 422 and 503 are every operation's.

    Where a token may be unknown (401), too many unknown ones may have come (429).
    """
    guesses = {429} if 401 in statuses else set()
    return {status: _describe_status(status) for status in sorted({*statuses, *guesses, 422, 503})}


def success_response(
    status: int, model: type[BaseModel], description: str
) -> dict[int | str, dict[str, Any]]:
    """Describe another good answer of an operation."""
    return {status: {"model": model, "description": description}}


def _describe_status(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {"description": _MEANINGS[status], "content": PROBLEM_CONTENT}
    if status == 503:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return described


async def _handle_error(request: Request, error: Exception) -> Response:
    match error:
        case Refusal():
            return problem_response(error.status, error.slug, error.detail, error.errors)
        case RequestValidationError():
            errors = [_field_error(each["loc"], each["msg"]) for each in error.errors()]
            detail = "; ".join(f"{each.field}: {each.message}" for each in errors)
            return problem_response(422, "invalid-request", detail, errors)
        case HTTPException():
            slug = _SLUGS.get(error.status_code, "bad-request")
            headers = {"Allow": _allowed_methods(request)} if error.status_code == 405 else error.headers
            errors = of_field(_FIELDS.get(error.status_code, "body"), str(error.detail))
            return problem_response(error.status_code, slug, str(error.detail), errors, headers)
        case DataError():
            log.warning(
                "the database refuses a value", extra={"path": request.url.path, "why": str(error.orig)}
            )
            return problem_response(422, "invalid-request", "a value that the database cannot store")
        case OperationalError() | InterfaceError() | TimeoutError():
            why = str(getattr(error, "orig", None) or error)
            log.warning("the database does not answer", extra={"path": request.url.path, "why": why})
            detail = "the database is locked, does not answer, or its disk is full: try again"
            errors = of_field("database", detail)
            return problem_response(503, "database-unavailable", detail, errors, {"Retry-After": RETRY_AFTER})
    log.error("request failed", exc_info=error, extra={"path": request.url.path})
    return problem_response(500, "internal-error", "see the control plane's log")


def _allowed_methods(request: Request) -> str:
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
    database = (DataError, OperationalError, InterfaceError, TimeoutError)
    for kind in (Refusal, RequestValidationError, HTTPException, *database, Exception):
        app.add_exception_handler(kind, _handle_error)
