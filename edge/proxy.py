"""The built-in application: a caching reverse proxy in front of the origin (ASGI)."""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, BinaryIO

import httpx

from edge.cache.freshness import lifetime, may_store
from edge.cache.store import Store, Stored

log = logging.getLogger("edge.proxy")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = dict[str, str]

BLOCK = 256 << 10
METHODS = ("GET", "HEAD")
TARGET_LIMIT = 8192
_HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade".split()  # noqa: SIM905
)


class CachingProxy:
    """Answer from the store while fresh, ask the origin otherwise, and store what may be stored."""

    def __init__(self, client: httpx.AsyncClient, store: Store, name: str) -> None:
        self._client = client
        self._store = store
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] not in METHODS:
            return await _say(send, 405, "only GET and HEAD")
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        if len(target) > TARGET_LIMIT:
            return await _say(send, 414, "the target is too long")
        asked = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        key = f"{asked.get('host', '')} {target.decode('latin-1')}"
        stored = self._store.get(key) if "range" not in asked and scope["method"] == "GET" else None
        if stored is not None and time.time() - stored.stored_at < lifetime(stored.headers):
            return await self._from_store(stored, "hit", send)
        await self._from_origin(scope["method"], target, asked, key, stored, send)

    async def _from_store(self, stored: Stored, status: str, send: Send) -> None:
        try:
            body = self._store.open(stored)
        except FileNotFoundError:
            self._store.remove(stored.key)
            return await _say(send, 503, "the stored response is gone, try again")
        age = max(0, int(time.time() - stored.stored_at))
        headers = stored.headers | {"age": str(age), "cache-status": f"{self._name}; {status}"}
        headers["content-length"] = str(stored.size)
        with body:
            await _start(send, 200, headers)
            await _send_file(body, send)

    async def _from_origin(
        self, method: str, target: bytes, asked: Headers, key: str, stored: Stored | None, send: Send
    ) -> None:
        headers = {name: value for name, value in asked.items() if name not in _HOP_BY_HOP}
        conditional = any(name.startswith("if-") for name in asked)
        revalidates = stored is not None and "etag" in stored.headers and not conditional
        if revalidates and stored is not None:
            headers["if-none-match"] = stored.headers["etag"]
        headers["accept-encoding"] = "identity"
        headers["via"] = f"1.1 {self._name}"
        try:
            url = self._client.base_url.copy_with(raw_path=target)
            async with self._client.stream(method, url, headers=headers) as answer:
                kept = {
                    name.lower(): value
                    for name, value in answer.headers.items()
                    if name.lower() not in _HOP_BY_HOP
                }
                if revalidates and stored is not None and answer.status_code == 304:
                    self._store.refresh(
                        stored, {k: v for k, v in kept.items() if k != "content-length"}, time.time()
                    )
                    return await self._from_store(stored, "hit; detail=revalidated", send)
                await self._relay(answer, kept, method, asked, key, send)
        except httpx.TimeoutException:
            await _say(send, 504, "the origin does not answer")
        except httpx.ConnectError as error:
            log.warning("origin: %s", error)
            await _say(send, 502, "the origin cannot be reached")

    async def _relay(
        self, answer: httpx.Response, kept: Headers, method: str, asked: Headers, key: str, send: Send
    ) -> None:
        storing = may_store(method, asked, answer.status_code, kept)
        status = "fwd=uri-miss; stored" if storing else "fwd=bypass"
        await _start(send, answer.status_code, kept | {"cache-status": f"{self._name}; {status}"})
        incoming = self._store.incoming() if storing else None
        try:
            async for part in answer.aiter_raw():
                if incoming is not None and not incoming.write(part):
                    incoming = None
                await send({"type": "http.response.body", "body": part, "more_body": True})
            if incoming is not None and kept.get("content-length", str(incoming.size)) == str(incoming.size):
                self._store.commit(key, incoming, kept, time.time())
        finally:
            # an upstream that dies in the middle leaves nothing stored, and, as uvicorn then cuts the
            # connection, nothing that looks complete
            if incoming is not None and incoming.finish():
                incoming.abandon()
                incoming.path.unlink(missing_ok=True)
        await send({"type": "http.response.body", "body": b""})


async def _send_file(body: BinaryIO, send: Send) -> None:
    while block := body.read(BLOCK):
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _start(send: Send, status: int, headers: Headers) -> None:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def _say(send: Send, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    await _start(send, status, {"content-type": "text/plain", "content-length": str(len(body))})
    await send({"type": "http.response.body", "body": body})
