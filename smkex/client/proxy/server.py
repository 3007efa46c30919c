"""The proxy's listener: HTTP and SOCKS 5 on one port, distinguished by the first byte."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

from smkex.client.events import Failed, Observer
from smkex.client.explain import explain_error
from smkex.client.options import ConnectOptions
from smkex.client.proxy import socks5
from smkex.client.proxy.credentials import Credentials
from smkex.client.proxy.forward import UPSTREAM_ERRORS, Forwarder, run_tunnel
from smkex.client.proxy.program import ProgramDisconnected
from smkex.client.proxy.rules import RequestRefused, Rules
from smkex.client.proxy.upstream import Upstream
from smkex.transport.relay import Streams
from smkex.transport.routes.host_name import HostName

FIRST_BYTE_TIMEOUT = (
    60.0  # seconds a program may take to say anything: browsers open connections ahead of need
)
NEGOTIATION_TIMEOUT = 10.0  # seconds for SOCKS, which is one packet each way
READ_LIMIT = 64 << 10


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """`connect` are options of `smkex.connect`; `connections` and `sessions` are bounds."""

    host: str = "127.0.0.1"
    port: int = 1080
    rules: Rules = field(default_factory=Rules)
    credentials: Credentials | None = None
    connections: int = 256
    sessions: int = 64
    connect: ConnectOptions = field(default_factory=ConnectOptions)


class Proxy:
    """Serves between `start` and `stop`; passes sessions and failures to `on_event`."""

    def __init__(self, settings: ProxySettings, on_event: Observer) -> None:
        self._settings, self._emit = settings, on_event
        self._upstream = Upstream(settings.connect, on_event, settings.sessions)
        self._forwarder = Forwarder(self._upstream, settings.rules, on_event, settings.credentials)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def start(self) -> None:
        """Raises OSError where the address cannot be listened on."""
        self._server = await asyncio.start_server(
            self._accepted, self._settings.host, self._settings.port, limit=READ_LIMIT
        )

    @property
    def port(self) -> int:
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    def list_sessions(self) -> list[dict[str, Any]]:
        """Return the path report of each open session, for `SessionList`."""
        return self._upstream.sessions.list_sessions()

    async def stop(self) -> None:
        """Stop listening, cancel what runs, end the sessions."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._upstream.close()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near = Streams.of_tcp(reader, writer)
        if len(self._tasks) >= self._settings.connections:
            self._emit(Failed("", "TooManyConnections", "connection refused: too many connections", ""))
            near.abort()
            return
        task = asyncio.create_task(self._serve(near))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, near: Streams) -> None:
        try:
            async with asyncio.timeout(FIRST_BYTE_TIMEOUT):
                first = await near.reader.read(1)
            if first == bytes([socks5.VERSION]):
                await self._socks(near)
            elif first:
                await self._forwarder.run(first, near)
            near.writer.close()
        except (
            ProgramDisconnected,
            socks5.SocksFailed,
            asyncio.IncompleteReadError,
            ConnectionError,
            TimeoutError,
        ):
            with contextlib.suppress(OSError):
                near.writer.close()
        except UPSTREAM_ERRORS:
            near.abort()  # already reported; a truncated response must not look complete
        except BaseException:
            near.abort()
            raise

    async def _socks(self, near: Streams) -> None:
        async with asyncio.timeout(NEGOTIATION_TIMEOUT):
            host, port = await socks5.negotiate_target(near.reader, near.writer, self._settings.credentials)
        try:
            host = HostName.parse(host).text
            route, port = self._settings.rules.select_tunnel(host, port)
            far = await self._upstream.open_tunnel(route, host, port)
        except (RequestRefused, *UPSTREAM_ERRORS) as error:
            found = explain_error(error)
            self._emit(Failed(host, found.name, found.text, found.hint))
            await socks5.send_reply(near.writer, socks5.reply_for(error))
            return
        await socks5.send_reply(near.writer, socks5.Reply.SUCCEEDED)
        await run_tunnel(near, far, host, route, self._emit)
