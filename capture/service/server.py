"""The serving process: entrance, resolver, and the socket at which users put programs under capture."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any

from capture.entrances import Entrances
from capture.maps import CaptureMaps
from capture.names import Address, CapturedNames
from capture.resolver import LoopbackResolver
from capture.service.captured_programs import CapturedPrograms
from capture.service.settings import CaptureSettings
from capture.service.user_socket import UserSocket
from capture.system_resolvers import SystemResolvers
from smkex.client.carried_connections import accept_connections
from smkex.client.connect import select_interfaces
from smkex.client.events import Failed, Observer
from smkex.client.explain import explain_error
from smkex.transport.resolution.discovery import find_service

READY, ALIVE, JOIN, RELOAD, STOP = b"ready", b"alive", b"join", b"reload", b"stop"
ALIVE_INTERVAL = 2.0  # seconds
RESOLVE_INTERVAL = 60.0  # seconds between resolving the hosts that are given by name
RETRY_INTERVAL = 5.0  # seconds, where one was not resolved


class CaptureServer:
    """Serves from `serve` until the keeper says stop, or is gone."""

    def __init__(
        self,
        settings: CaptureSettings,
        maps: CaptureMaps,
        entrances: Entrances,
        listener: socket.socket,
        on_event: Observer,
        warn: Callable[[str], None],
    ) -> None:
        """Raises `InvalidHostName`, and ValueError of `read_hosts`."""
        self._settings, self._maps, self._entrances = settings, maps, entrances
        self._listener, self._emit, self._warn = listener, on_event, warn
        self._names = CapturedNames(settings.read_hosts(), self._resolve, maps.capture_address)
        self._programs = CapturedPrograms(settings, self._names, maps, on_event)
        self._users = UserSocket(settings, self._names, self._programs, self._join)
        self._asking = asyncio.Lock()
        self._reply: asyncio.Future[bytes] | None = None
        self._failing: set[str] = set()
        self._reloaded = asyncio.Event()

    async def serve(self, channel: socket.socket) -> None:
        """`channel` leads to the keeper."""
        self._channel = channel
        channel.setblocking(False)
        loop = asyncio.get_running_loop()
        stopped: asyncio.Future[None] = loop.create_future()
        loop.add_reader(channel, self._receive, stopped)
        resolvers = SystemResolvers(self._maps)
        resolvers.refresh()
        await self._resolve_names()
        resolver = LoopbackResolver(self._names, resolvers)
        servers = [await accept_connections(sock, self._programs.accept) for sock in self._entrances.streams]
        await resolver.start(self._entrances.datagrams, self._entrances.questions)
        servers.append(await asyncio.start_unix_server(self._users.serve_user, sock=self._listener))
        await loop.sock_sendall(channel, READY)
        tasks = [asyncio.create_task(self._follow_names()), asyncio.create_task(self._show_life())]
        try:
            await stopped
        finally:
            for task in tasks:
                task.cancel()
            for server in servers:
                server.close()
            await resolver.stop()
            await self._programs.stop()

    def _receive(self, stopped: "asyncio.Future[None]") -> None:
        """Take a message of the keeper; without a keeper this process must end."""
        try:
            message = self._channel.recv(4096)
        except BlockingIOError:
            return
        except ConnectionError:
            message = b""
        if message == RELOAD:
            self._reload_hosts()
        elif message in (STOP, b""):
            asyncio.get_running_loop().remove_reader(self._channel)
            if not stopped.done():
                stopped.set_result(None)
        elif self._reply is not None and not self._reply.done():
            self._reply.set_result(message)

    def _reload_hosts(self) -> None:
        try:
            self._names.replace_patterns(self._settings.read_hosts())
        except ValueError as error:
            self._warn(f"reload failed, keeping the hosts in force: {error}")
            return
        for address in list(self._maps.captured_addresses()):
            if not self._names.claims(address):
                self._maps.release_address(address)
        self._failing.clear()
        self._reloaded.set()

    async def _follow_names(self) -> None:
        """Keep the addresses of the hosts that are given by name captured, also once they change."""
        while True:
            interval = RETRY_INTERVAL if self._failing else RESOLVE_INTERVAL
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._reloaded.wait()
            self._reloaded.clear()
            await self._resolve_names()

    async def _resolve_names(self) -> None:
        failed = await self._names.resolve_exact()
        for name, error in failed.items():
            if name not in self._failing:
                found = explain_error(error)
                self._emit(Failed(name, found.name, found.text, found.hint))
        self._failing = set(failed)

    async def _show_life(self) -> None:
        while True:
            await asyncio.get_running_loop().sock_sendall(self._channel, ALIVE)
            await asyncio.sleep(ALIVE_INTERVAL)

    async def _join(self, user: socket.socket) -> dict[str, Any]:
        """Have the keeper move the process at the other end of a user's connection; return its answer."""
        async with self._asking:
            self._reply = asyncio.get_running_loop().create_future()
            try:
                socket.send_fds(self._channel, [JOIN], [user.fileno()])
                answer: dict[str, Any] = json.loads(await self._reply)
            finally:
                self._reply = None
        return answer

    async def _resolve(self, name: str) -> tuple[Address, ...]:
        options = self._settings.connect
        interfaces = select_interfaces(options, None)
        found = await find_service(name, self._settings.service_port, interfaces, options.resolvers or {})
        return found.addresses
