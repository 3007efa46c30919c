"""start_server(): accept sessions in a program, as `asyncio.start_server` accepts connections."""

import asyncio
import contextlib
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

from smkex.core.wire.locator import SERVICE_PORT, port_locator
from smkex.core.wire.messages import Mode
from smkex.server.callbacks import CallbackRunner, SessionCallback
from smkex.server.handshake.path_manager.client import PathManagerClient
from smkex.server.handshake.path_manager.start import start_path_manager
from smkex.server.identity import (
    Identity,
    IdentityUnusable,
    load_long_term_key,
    load_name_keys,
    load_tls_context,
    require_known_groups,
)
from smkex.server.listener import SessionListener
from smkex.server.options import ServerOptions
from smkex.server.report import SessionReport, report_session
from smkex.transport.driver import SessionDriver
from smkex.transport.mptcp.listen import mptcp_listener, tcp_listener

ProtocolFactory = Callable[[SessionDriver], asyncio.Protocol]


class SessionServer:
    """A running server of sessions, and an asynchronous context manager that closes it."""

    def __init__(
        self,
        options: ServerOptions,
        identity: Identity,
        make_protocol: ProtocolFactory,
        callbacks: CallbackRunner | None = None,
    ) -> None:
        self._options = options
        self._callbacks = callbacks
        self._identity = identity
        self._make_protocol = make_protocol
        self._path_manager: tuple[subprocess.Popen[bytes], PathManagerClient] | None = None
        self._listener: SessionListener | None = None
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._addresses: list[tuple[str, int]] = []

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The service address, then the locator, of each address that it listens on."""
        return list(self._addresses)

    @property
    def failures(self) -> Counter[str]:
        """Handshakes that failed and sessions that were refused, by the name of the error."""
        return self._running.failures

    def reports(self) -> list[SessionReport]:
        """Return the path report of every session."""
        return [report_session(session) for session in self._running.registry.sessions]

    async def serve_forever(self) -> None:
        """Serve until cancelled or closed; closes the server when cancelled."""
        try:
            await asyncio.shield(self._closed)
        except asyncio.CancelledError:
            await self.close()
            raise

    async def stop_accepting(self) -> None:
        """Accept no more subflows; sessions go on."""
        await self._running.stop_accepting()

    async def finish(self, timeout: float) -> None:
        """Stop accepting, wait until every callback has returned, `timeout` seconds at most, and close."""
        await self.stop_accepting()
        if self._callbacks is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._callbacks.wait_finished()
        await self.close()

    async def close(self) -> None:
        """Stop accepting, cancel the callbacks, which breaks off their sessions, and close the other sessions."""
        if self._closed.done():
            return
        self._closed.set_result(None)
        await self._running.stop_accepting()
        if self._callbacks is not None:
            await self._callbacks.cancel()
        await self._running.stop()
        if self._path_manager is not None:
            process, manager = self._path_manager
            manager.close()  # it ends with its last channel
            await asyncio.to_thread(process.wait)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def _running(self) -> SessionListener:
        if self._listener is None:
            raise RuntimeError("the server was not started")
        return self._listener

    async def start(self, hosts: Sequence[str], port: int) -> None:
        """Bind and accept. Raises OSError, and for transport mptcp `MptcpError`."""
        manager = await self._start_path_manager(hosts) if self._options.mptcp else None
        sockets: list[socket.socket] = []
        try:
            for host in hosts:
                sockets += self._bind_address(host, port)
        except OSError:
            for bound in sockets:
                bound.close()
            if manager is not None:
                manager.close()
            raise
        self._addresses = [bound.getsockname()[:2] for bound in sockets]
        self._listener = SessionListener(
            self._identity.config,
            self._make_scheduled_protocol,
            self._locator_of,
            self._options.limits,
            require_both=self._options.require_both,
            manager=manager,
        )
        self._listener.start_accepting(sockets)

    def _make_scheduled_protocol(self, session: SessionDriver) -> asyncio.Protocol:
        session.schedule_steps(self._options.step_age, self._options.step_volume)
        return self._make_protocol(session)

    async def _start_path_manager(self, hosts: Sequence[str]) -> PathManagerClient:
        process, (channel,) = await asyncio.to_thread(start_path_manager, hosts)
        manager = PathManagerClient(channel)
        self._path_manager = process, manager
        return manager

    def _bind_address(self, host: str, port: int) -> list[socket.socket]:
        listen = mptcp_listener if self._options.mptcp and ":" not in host else tcp_listener
        service = listen(host, port)
        try:
            return [service, listen(*self._locator_of(host))]
        except OSError:
            service.close()
            raise

    def _locator_of(self, host: str) -> tuple[str, int]:
        return host, port_locator(self._options.server_id, self._options.id_port_base)


async def start_server(
    callback: SessionCallback,
    host: str | Sequence[str],
    port: int = SERVICE_PORT,
    *,
    options: ServerOptions | None = None,
) -> SessionServer:
    """Serve sessions at one or more addresses of this host; both subflows of a session end here.

    `callback` is awaited with the `AcceptedConnection` of each session, which is closed when it returns. Raises
    `ValueError` for what is no address, `IdentityUnusable` for keys and certificates, OSError where an address cannot
    be bound, `MptcpError` where transport mptcp was asked for and cannot be had.
    """
    runner = CallbackRunner()
    return await start_sessions(
        lambda session: runner.start_callback(session, callback), host, port, options, runner
    )


async def start_sessions(
    make_protocol: ProtocolFactory,
    host: str | Sequence[str],
    port: int,
    options: ServerOptions | None = None,
    callbacks: CallbackRunner | None = None,
) -> SessionServer:
    """Serve as `start_server`, with an asyncio protocol for each session."""
    options = options or ServerOptions()
    hosts = [host] if isinstance(host, str) else list(host)
    _check_addresses(hosts, options)
    server = SessionServer(options, _load_identity(options), make_protocol, callbacks)
    await server.start(hosts, port)
    return server


async def serve(
    application: Any,
    host: str | Sequence[str],
    port: int = SERVICE_PORT,
    *,
    options: ServerOptions | None = None,
) -> None:
    """Serve an ASGI application over HTTP/1.1 in sessions, until cancelled. Raises as `start_server`.

    Needs the extra `edge` (uvicorn). Raises `RuntimeError` where the application refuses to start.
    """
    from smkex.http.server.http_server import HttpServer  # its libraries are slow to load, and an extra

    http = HttpServer(application)
    if not await http.start():
        raise RuntimeError("the application refused to start; see the log")
    try:
        server = await start_sessions(lambda session: http.create_protocol(), host, port, options)
    except BaseException:
        await http.stop()
        raise
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop_accepting()
        await http.stop()  # after the responses in progress
        await server.close()


def _check_addresses(hosts: Sequence[str], options: ServerOptions) -> None:
    if not hosts:
        raise ValueError("give one address of this host or more")
    for host in hosts:
        address = ip_address(host)
        if options.mptcp and (address.version != 4 or address.is_unspecified):
            raise ValueError(f"transport mptcp needs IPv4 addresses of this host, not {host}")


def _load_identity(options: ServerOptions) -> Identity:
    require_known_groups(options.kex)
    long_term = load_long_term_key(options.tofu_certificate, options.tofu_key, options.server_id)
    if options.modes == (Mode.TOFU,) and long_term is None:
        raise IdentityUnusable("mode tofu needs a certificate and its key")
    return Identity(
        options.server_id,
        long_term,
        load_tls_context(options.tls_certificate, options.tls_key, options.kex),
        modes=options.modes,
        groups=options.kex,
        name_keys=load_name_keys(options.name_keys, long_term),
    )
