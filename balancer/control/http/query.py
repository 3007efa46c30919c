"""Refuse query parameters that an operation does not have: a typing error must not be ignored silently."""

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from balancer.control.http.problems import Refusal


def _known_names(route: APIRoute) -> frozenset[str]:
    return frozenset(_query_names(route.dependant))


def _query_names(dependant: Dependant) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*(_query_names(below) for below in dependant.dependencies))


async def refuse_unknown(request: Request) -> None:
    """Raise the Refusal 422 that names the parameter, also for NUL, which PostgreSQL does not store."""
    for name, value in (("path", request.scope["path"]), *request.query_params.items()):
        if "\0" in value:
            raise Refusal(422, "invalid-request", "must not contain NUL", field=name)
    route = request.scope.get("route")
    if not request.scope["query_string"] or not isinstance(route, APIRoute):
        return
    known = _known_names(route)
    for name in request.query_params:
        if name not in known:
            detail = f"no such parameter; there is: {', '.join(sorted(known)) or 'none'}"
            raise Refusal(422, "invalid-request", detail, field=name or "query")
