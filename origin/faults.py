"""Fault injection for tests and demonstrations: delay, errors, truncated responses. Only with `--faults`.

PUT, GET and DELETE of `/.sennit/faults`, from this host and not through a proxy, set, show and clear the fault:
`{"path": "/video/*", "delay": 2.0, "status": 503, "cut": 1000, "count": 3}`, each optional. `path` is a glob,
`delay` in seconds, `cut` the bytes of the body after which the connection is closed, `count` the number of requests
affected.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ADMIN = "/.sennit/faults"
BODY_LIMIT = 4096
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(slots=True)
class Fault:
    """One injected fault; the default changes nothing."""

    path: str = "*"
    delay: float = 0.0
    status: int | None = None
    cut: int | None = None
    count: int | None = None

    @classmethod
    def parse(cls, text: bytes) -> "Fault":
        """Parse JSON. Raises `ValueError` that names the fault."""
        value = json.loads(text)
        try:
            made = cls(**value)
        except TypeError as error:
            raise ValueError(str(error)) from None
        numbers = (made.delay, made.status or 500, made.cut or 0, made.count or 0)
        if (
            not all(isinstance(one, int | float) and one >= 0 for one in numbers)
            or not 200 <= numbers[1] <= 599
        ):
            raise ValueError("delay, status, cut and count are numbers, status between 200 and 599")
        return made


class ResponseCut(Exception):
    """The response is truncated on purpose: the server closes the connection."""


class Faults:
    """ASGI middleware that injects the configured fault."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._fault: Fault | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == ADMIN and _is_local(scope):
            return await self._administer(scope, receive, send)
        fault = self._take(scope["path"])
        if fault is None:
            return await self._app(scope, receive, send)
        await asyncio.sleep(fault.delay)
        if fault.status is not None:
            return await _send_json(send, fault.status, {"fault": fault.status})
        await self._app(scope, receive, send if fault.cut is None else _cut_after(send, fault.cut))

    def _take(self, path: str) -> Fault | None:
        fault = self._fault
        if fault is None or not fnmatchcase(path, fault.path):
            return None
        if fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self._fault = None
        return fault

    async def _administer(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["method"]:
            case "PUT":
                try:
                    self._fault = Fault.parse(await _read_body(receive))
                except ValueError as error:
                    return await _send_json(send, 400, {"error": str(error)})
            case "DELETE":
                self._fault = None
            case "GET":
                pass
            case _:
                return await _send_json(send, 405, {"error": "PUT, GET or DELETE"})
        await _send_json(send, 200, asdict(self._fault) if self._fault is not None else {})


def _is_local(scope: Scope) -> bool:
    """Whether the request comes from this host directly; a request through an edge carries Via."""
    client, server = (scope.get(end) or ("",) for end in ("client", "server"))
    # a host's connection to an address of its own comes from that address
    is_local = client[0] in _LOOPBACK or (client[0] != "" and client[0] == server[0])
    return is_local and all(name != b"via" for name, _ in scope["headers"])


def _cut_after(send: Send, left: int) -> Send:
    async def cut(message: MutableMapping[str, Any]) -> None:
        nonlocal left
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or len(body) <= left:
            left -= len(body)
            return await send(message)
        await send({"type": "http.response.body", "body": body[:left], "more_body": True})
        raise ResponseCut

    return cut


async def _read_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_LIMIT:
            raise ValueError(f"more than {BODY_LIMIT} bytes")
    return body


async def _send_json(send: Send, status: int, value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers.append((b"cache-control", b"no-store"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
