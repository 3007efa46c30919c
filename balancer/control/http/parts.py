"""Long-lived objects of the application, given to endpoints by class: each names only what it needs."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, TypeVar

from fastapi import Depends, FastAPI, Request, Response

from balancer.control.newest import NewestIds
from balancer.control.storage.store import Store

Part = TypeVar("Part")


def install_parts(app: FastAPI, parts: Iterable[object]) -> None:
    """Make the parts available to endpoints."""
    app.state.parts = {type(part): part for part in parts}


def find_part(app: FastAPI, kind: type[Part]) -> Part:
    """Return the part of a class."""
    part = app.state.parts[kind]
    assert isinstance(part, kind)
    return part


def provide_part(kind: type[Part]) -> Callable[[Request], Awaitable[Part]]:
    """Return a dependency that gives the part of a class."""

    async def provide(request: Request) -> Part:  # async: a plain function would run in a thread
        return find_part(request.app, kind)

    return provide


async def forbid_storing(response: Response) -> None:
    """Mark an answer that contains a secret (RFC 9111)."""
    response.headers["Cache-Control"] = "no-store"


StorePart = Annotated[Store, Depends(provide_part(Store))]
NewestPart = Annotated[NewestIds, Depends(provide_part(NewestIds))]
