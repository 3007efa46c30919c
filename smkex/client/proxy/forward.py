"""Requests in absolute form (RFC 9112 section 3.2.2) by pooled sessions, and CONNECT as a tunnel."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import h11
import httpcore

from smkex.client.events import Failed, Observer
from smkex.client.explain import Explanation, explain_error
from smkex.client.proxy.credentials import Credentials
from smkex.client.proxy.program import Headers, ProgramConnection
from smkex.client.proxy.rules import ProxyRoute, RequestRefused, Rules
from smkex.client.proxy.tls_inside import refuse_tls
from smkex.client.proxy.upstream import Upstream
from smkex.core.errors import SmkexError
from smkex.http.connection import NEW_CONNECTION
from smkex.transport.relay import Streams, copy_both_ways
from smkex.transport.routes.host_name import HostName, InvalidHostName

PROXY_NAME = "sennit"  # in Via and Proxy-Status
TIMEOUTS = {"connect": 30.0, "read": 60.0, "write": 60.0, "pool": 30.0}  # seconds
_IDEMPOTENT = (b"GET", b"HEAD", b"OPTIONS")
# RFC 9110 section 7.6.1; Expect is answered here, and the proxy's credentials are not for origins
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer upgrade".split()
)
_Broken = (httpcore.NetworkError, httpcore.ProtocolError)
UPSTREAM_ERRORS = (SmkexError, InvalidHostName, OSError, TimeoutError, httpcore.TimeoutException, *_Broken)


class Forwarder:
    """Serves one program's HTTP connection."""

    def __init__(
        self, upstream: Upstream, rules: Rules, on_event: Observer, credentials: Credentials | None
    ) -> None:
        self._upstream, self._rules, self._emit = upstream, rules, on_event
        self._credentials = credentials

    async def run(self, first: bytes, near: Streams) -> None:
        """Serve until the program is done. Raises errors of a response or tunnel that has begun."""
        program = ProgramConnection(near.reader, near.writer, first)
        try:
            while (request := await program.request()) is not None:
                if request.method == b"CONNECT":
                    return await self._connect(program, request, near)
                if not await self._forward(program, request):
                    return
        except h11.RemoteProtocolError as error:
            if not program.answering:
                await program.send_text(
                    error.error_status_hint, f"error: {error}\n", [(b"connection", b"close")]
                )

    # --- absolute form

    async def _forward(self, program: ProgramConnection, request: h11.Request) -> bool:
        """Whether another request may follow."""
        if not self._allowed(request):
            return await self._authenticate(program)
        url = _parse_absolute(request.target)
        host = url.host.decode("ascii")
        try:
            host = HostName.parse(host).text
            url = httpcore.URL(scheme=url.scheme, host=host, port=url.port, target=url.target)
            route = self._rules.select_route(host)
            asked = self._request(route, url, request, program)
            response = await self._send(route, asked)
        except RequestRefused as error:
            return await self._refuse(program, host, error)
        except UPSTREAM_ERRORS as error:
            return await self._fail(program, host, error)
        try:
            async with aclosing(_response_parts(response)) as parts:
                await program.start(response.status, _response_fields(response), _reason_phrase(response))
                async for part in parts:
                    await program.write(part)
        except UPSTREAM_ERRORS as error:
            self._emit_failure(host, error)
            raise
        return await program.end()

    def _request(
        self, route: ProxyRoute, url: httpcore.URL, request: h11.Request, program: ProgramConnection
    ) -> httpcore.Request:
        port = self._rules.select_port(route, url.port or 80)
        headers = [*_end_to_end(list(request.headers)), (b"via", b"1.1 " + PROXY_NAME.encode())]
        # the target's authority replaces Host (RFC 9112 section 3.2.2)
        headers = [(b"host", _host_header(url))] + [pair for pair in headers if pair[0].lower() != b"host"]
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in request.headers)
        return httpcore.Request(
            request.method,
            httpcore.URL(scheme=b"http", host=url.host, port=port, target=url.target),
            headers=headers,
            content=program.body() if has_body else None,
            extensions={"timeout": TIMEOUTS},
        )

    async def _send(self, route: ProxyRoute, request: httpcore.Request) -> httpcore.Response:
        pool = self._upstream.pool(route)
        again = request.method in _IDEMPOTENT and not isinstance(request.stream, AsyncIterator)
        try:
            return await pool.handle_async_request(request)
        except _Broken:
            # a kept session may end as the request is sent: retry idempotent requests once, on a new one (RFC 9112
            # section 9.3.1), since other kept ones may have ended as well
            if not again:
                raise
            request.extensions[NEW_CONNECTION] = True
            return await pool.handle_async_request(request)

    # --- CONNECT

    async def _connect(self, program: ProgramConnection, request: h11.Request, near: Streams) -> None:
        if not self._allowed(request):
            await self._authenticate(program)
            return
        host, port = _parse_authority(request.target)
        try:
            host = HostName.parse(host).text
            route, port = self._rules.select_tunnel(host, port)
            far = await self._upstream.open_tunnel(route, host, port)
        except RequestRefused as error:
            await self._refuse(program, host, error)
        except UPSTREAM_ERRORS as error:
            await self._fail(program, host, error)
        else:
            await run_tunnel(near, far, host, route, self._emit, await program.accept_connect())

    # --- answers of our own

    def _allowed(self, request: h11.Request) -> bool:
        given = next((value for name, value in request.headers if name == b"proxy-authorization"), None)
        return self._credentials is None or self._credentials.match_basic(given)

    async def _authenticate(self, program: ProgramConnection) -> bool:
        challenge = [(b"proxy-authenticate", b'Basic realm="sennit proxy"'), *_end_of(program)]
        return await program.send_text(407, "error: a name and password are needed\n", challenge)

    async def _refuse(self, program: ProgramConnection, host: str, error: RequestRefused) -> bool:
        self._emit(Failed(host, "Refused", str(error), error.hint))
        return await program.send_text(
            403,
            _error_text(str(error), error.hint),
            [*_proxy_status("http_request_denied", "Refused"), *_end_of(program)],
        )

    async def _fail(self, program: ProgramConnection, host: str, error: BaseException) -> bool:
        found = self._emit_failure(host, error)
        return await program.send_text(
            502,
            _error_text(str(found), found.hint),
            [*_proxy_status(_proxy_error_type(error), found.name), *_end_of(program)],
        )

    def _emit_failure(self, host: str, error: BaseException) -> Explanation:
        found = explain_error(error)
        self._emit(Failed(host, found.name, found.text, found.hint))
        return found


async def run_tunnel(
    near: Streams, far: Streams, host: str, route: ProxyRoute, on_event: Observer, early: bytes = b""
) -> None:
    """Run a tunnel to its end and report its failure. `early` is data that the program has already sent."""
    try:
        if early:
            near.reader.feed_data(early)
        check = refuse_tls(near) if route is ProxyRoute.SESSION else None
        await copy_both_ways(near, far, check_first=check)
    except ConnectionError:
        return  # one side disconnected, and with it the other
    except Exception as error:
        found = explain_error(error)
        on_event(Failed(host, found.name, found.text, found.hint))


def _parse_absolute(target: bytes) -> httpcore.URL:
    """Raises `h11.RemoteProtocolError` for what is not http://HOST/..."""
    if target[:7].lower() != b"http://":
        raise h11.RemoteProtocolError(
            "this is a proxy: the target must be http://HOST/PATH", error_status_hint=400
        )
    try:
        url = httpcore.URL(target)
        url.host.decode("ascii")
    except (ValueError, TypeError):
        raise h11.RemoteProtocolError("the target is not a URL", error_status_hint=400) from None
    if not url.host:
        raise h11.RemoteProtocolError("the target has no host", error_status_hint=400)
    # httpcore drops what follows a semicolon: take the target as written
    rest = target[7:].partition(b"#")[0]
    start = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    path = rest[start:] if rest[start : start + 1] == b"/" else b"/" + rest[start:]
    return httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=path)


def _end_of(program: ProgramConnection) -> Headers:
    """A refused CONNECT ends the connection, and says so (RFC 9112 section 9.6)."""
    return [(b"connection", b"close")] if program.asked_for_tunnel else []


def _host_header(url: httpcore.URL) -> bytes:
    host = b"[%b]" % url.host if b":" in url.host else url.host
    return host if url.port in (None, 80) else b"%b:%d" % (host, url.port)


def _parse_authority(target: bytes) -> tuple[str, int]:
    """HOST:PORT or [V6]:PORT. Raises `h11.RemoteProtocolError`."""
    host, _, port = target.decode("ascii", "replace").rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (host and port.isdigit() and 0 < int(port) < 65536):
        raise h11.RemoteProtocolError("CONNECT needs HOST:PORT", error_status_hint=400)
    return host, int(port)


def _end_to_end(headers: Headers) -> Headers:
    named = {
        word.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for word in value.split(b",")
    }
    return [pair for pair in headers if pair[0].lower() not in _HOP_BY_HOP | named | {b"expect"}]


def _response_fields(response: httpcore.Response) -> Headers:
    # transfer codings are per hop: h11 chunks again if needed
    kept = [pair for pair in _end_to_end(response.headers) if pair[0].lower() != b"transfer-encoding"]
    return [*kept, (b"via", b"1.1 " + PROXY_NAME.encode())]


async def _response_parts(response: httpcore.Response) -> AsyncGenerator[bytes, None]:
    try:
        async for part in response.aiter_stream():
            yield part
    finally:
        await response.aclose()


def _reason_phrase(response: httpcore.Response) -> bytes:
    reason: bytes = response.extensions.get("reason_phrase", b"")
    return reason


def _error_text(error: str, hint: str) -> str:
    return f"error: {error}\n" + (f"hint:  {hint}\n" if hint else "")


def _proxy_status(kind: str, name: str) -> Headers:
    """RFC 9209, for programs that want to know why."""
    return [(b"proxy-status", f'{PROXY_NAME}; error={kind}; details="{name}"'.encode())]


def _proxy_error_type(error: BaseException) -> str:
    match error:
        case asyncio.TimeoutError() | httpcore.TimeoutException():
            return "connection_timeout"
        case httpcore.ReadError() | httpcore.WriteError() | httpcore.RemoteProtocolError():
            return "connection_terminated"
        case InvalidHostName():
            return "dns_error"
        case SmkexError():
            return "destination_unavailable"
        case _:
            return "connection_refused"
