"""Routes of what edges send all the time: a plain request bypasses FastAPI's validation and dependencies.

Anything else (an operator, an invalid parameter, an unknown token) takes the regular route, which refuses it with its
reasons. Both end in the same function.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from balancer.control.authentication.authenticator import Authenticator
from balancer.control.authentication.caller import Caller
from balancer.control.authentication.dependencies import bearer_sha256
from balancer.control.http.parts import find_part
from balancer.control.http.problems import Refusal


class EdgeRoute(APIRoute):
    """A route that tries the fast path first."""

    async def answer_edge(self, request: Request, edge: Caller) -> Response | None:
        """Answer a plain request of a known edge; None: it is not plain, and nothing has been done for it."""
        raise NotImplementedError

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        usual = super().get_route_handler()

        async def handle(request: Request) -> Response:
            edge = _find_edge(request)
            answer = await self.answer_edge(request, edge) if edge else None
            return answer if answer is not None else await usual(request)

        return handle


def _find_edge(request: Request) -> Caller | None:
    """Return the caller if it is an edge that is known in memory, and gives no reason that is to be checked."""
    if "sennit-reason" in request.headers:
        return None
    try:
        presented = bearer_sha256(request)
    except Refusal:
        return None
    caller = find_part(request.app, Authenticator).find_in_memory(presented)
    return caller if caller and caller.edge_id is not None else None
