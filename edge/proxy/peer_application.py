"""Answer the misses of other edges, which this one shields the origins from.

The asking edge has admitted the client, and changes the response as its service wants. It is believed what it says of
the client: it has proved by TLS to be of this fleet. Such a request never goes to a third edge.
"""

import ipaddress
from collections.abc import Callable

from edge.http.request import ClientRequest
from edge.origins.exchange import is_request_loop
from edge.origins.shield.invalidations import BODY_LIMIT, SHIELD_INVALIDATE_FIELD, Invalidation
from edge.origins.shield_exchange import SHIELD_CLIENT_FIELD, SHIELD_PURGE_FIELD, SHIELD_REFUSED_FIELD
from edge.proxy.caching_proxy import CachingProxy, Receive, Scope
from edge.proxy.leaving import UntilClientLeaves
from edge.proxy.responses import Send, end_response, send_text, start_response
from edge.proxy.service_request import ServiceRequest
from edge.services.catalogue import Misdirected
from edge.services.directory import ServiceDirectory
from edge.telemetry.telemetry import Telemetry
from smkex.http.semantics.integers import parse_integer


class PeerApplication:
    """ASGI application for the listener that only edges of the fleet can use. `name` is this edge's."""

    def __init__(
        self,
        proxy: CachingProxy,
        services: ServiceDirectory,
        name: str,
        newest_purge: Callable[[], int],
        telemetry: Telemetry,
    ) -> None:
        self._telemetry = telemetry
        self._newest_purge = newest_purge
        self._proxy = proxy
        self._services = services
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if _has_field(scope, SHIELD_INVALIDATE_FIELD):
            return await self._invalidate(scope, receive, send)
        try:
            if scope["method"] != "GET":
                raise ValueError("only GET")
            request = ClientRequest.of({**scope, "client": (_client_of(scope), 0)})
            if is_request_loop(request.headers, self._name):
                raise ValueError("a request loop")
            if (_purge_of(scope) or 0) > self._newest_purge():
                raise ValueError(
                    "a purge has not come here yet"
                )  # what it removes would be stored anew there
            service = self._services.current.select_http("", request.host)
        except (ValueError, Misdirected) as error:
            return await send_text(send, 421, f"not shielded: {error}", [(SHIELD_REFUSED_FIELD, "?1")])
        self._telemetry.assign_service(service.name, service.revision)
        service.begin_request()
        try:
            peer_request = ServiceRequest.of(request, service, for_peer=True)
            async with UntilClientLeaves(scope):
                await self._proxy.serve_request(peer_request, receive, send)
        finally:
            service.end_request()

    async def _invalidate(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Invalidate what an unsafe request at another edge has changed."""
        try:
            if scope["method"] != "POST":
                raise ValueError("only POST")
            invalidation = Invalidation.parse(await _read_body(receive))
        except ValueError as error:
            return await send_text(send, 400, f"no invalidation: {error}")
        await self._proxy.invalidate(invalidation)
        await start_response(send, 204, [])
        await end_response(send)


async def _read_body(receive: Receive) -> bytes:
    """Raises `ValueError` for one that is too long, or whose sender leaves."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ValueError("cut short")
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise ValueError(f"longer than {BODY_LIMIT} bytes")
        if not message.get("more_body", False):
            return bytes(body)


def _has_field(scope: Scope, name: str) -> bool:
    return any(field == name.encode() for field, _ in scope["headers"])


def _purge_of(scope: Scope) -> int | None:
    return parse_integer(dict(scope["headers"]).get(SHIELD_PURGE_FIELD.encode(), b"0").decode("latin-1"))


def _client_of(scope: Scope) -> str:
    """Return the address of the client; raises `ValueError` for anything else."""
    given = dict(scope["headers"]).get(SHIELD_CLIENT_FIELD.encode(), b"").decode("latin-1")
    return str(ipaddress.ip_address(given)) if given else ""
