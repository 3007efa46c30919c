"""HTTPS beside the sessions: TLS 1.3 and 1.2 on a separate port, with the same application and cache."""

import asyncio
import contextlib
import logging
import socket
import ssl
from pathlib import Path

from edge.config.settings import EdgeSettings
from smkex.http.server.http_server import HttpServer
from smkex.server.limits.admission import PrefixLimiter
from smkex.server.limits.memory_bound import MemoryBound, default_limit

log = logging.getLogger("edge.ingress.https")

HANDSHAKE_TIMEOUT = 10.0
SHUTDOWN_TIMEOUT = 5.0
BACKLOG = 1024
# OpenSSL's HIGH includes CBC and RSA key exchange; the default list of TLS 1.3 is secure
TLS_1_2_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def https_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a context by Mozilla's intermediate profile, without renegotiation. Raises OSError, `ssl.SSLError`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(TLS_1_2_CIPHERS)
    made.options |= ssl.OP_NO_TICKET  # of TLS 1.2: one ticket key for months would undo forward secrecy
    made.num_tickets = 0  # the same of TLS 1.3
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    made.set_alpn_protocols(["http/1.1"])
    made.load_cert_chain(certificate, key)
    made.sni_callback = _keep_server_name
    return made


def _keep_server_name(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
    connection.server_name_indication = name  # type: ignore[union-attr]


class HttpsListener:
    """Accept TLS connections for `server`, within the limits of sessions, counted separately."""

    def __init__(self, server: HttpServer, tls: ssl.SSLContext, settings: EdgeSettings) -> None:
        self._server = server
        self._tls = tls
        self._settings = settings
        self._in_handshake = PrefixLimiter(settings.max_handshakes_per_prefix)
        self._open = PrefixLimiter(settings.max_sessions_per_prefix)
        self._memory = MemoryBound(settings.max_memory_bytes or default_limit(settings.workers))
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting: list[asyncio.Task[None]] = []
        self._listening: list[socket.socket] = []

    def start(self, listening: socket.socket) -> None:
        """Accept on a listening socket too, and own it."""
        listening.setblocking(False)
        self._listening.append(listening)
        self._accepting.append(asyncio.create_task(self._accept(listening)))

    async def stop(self) -> None:
        """Stop accepting. The HTTP server closes the open connections."""
        tasks = [*self._accepting, *self._handshakes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listening in self._listening:
            listening.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("accept: %s", error)
                await asyncio.sleep(0.1)  # out of descriptors: let some go before the next try
                continue
            if not self._has_room():
                connection.close()  # before anything of TLS is computed
                continue
            task = asyncio.create_task(self._handshake(connection, address[0]))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    def _has_room(self) -> bool:
        if len(self._handshakes) >= self._settings.max_pending_tls or self._memory.is_full:
            return False
        return self._server.connections < self._settings.max_sessions

    async def _handshake(self, connection: socket.socket, address: str) -> None:
        loop = asyncio.get_running_loop()
        place = contextlib.ExitStack()  # released when the connection is lost or its handshake fails
        opened = False
        try:
            with contextlib.ExitStack() as handshake:
                if not (
                    _acquire_place(self._in_handshake, address, handshake)
                    and _acquire_place(self._open, address, place)
                ):
                    return
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.connect_accepted_socket(
                    lambda: self._server.create_protocol(place.close),
                    connection,
                    ssl=self._tls,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
                    ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
                )
                opened = True
        except OSError as error:  # ssl.SSLError is one
            log.debug("TLS handshake: %s", error)
        finally:
            if not opened:
                connection.close()
                place.close()


def _acquire_place(bound: PrefixLimiter, address: str, until: contextlib.ExitStack) -> bool:
    key = bound.acquire(address)
    if key is not None:
        until.callback(bound.release, key)
    return key is not None


def listen_https(address: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=BACKLOG)
