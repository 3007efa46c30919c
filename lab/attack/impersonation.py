"""A-A: both paths in one hand, in step. Together the two attackers are an edge, and the client cannot know.

The one on path 0 is the edge; the one on path 1 carries the bytes of its connection to and fro.
"""

import asyncio
import os
import socket
import time
from ipaddress import ip_address
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lab.attack.strategies import rebuild_share
from lab.attack.tls_path import AttackerIdentity, accept_tls
from smkex.core.handshake.config import LongTermKey, ServerConfig
from smkex.core.handshake.server import ServerHandshake
from smkex.core.handshake.server_info import ServerInfo
from smkex.core.handshake.tls import FIRST_BYTE
from smkex.core.keys.certificate import EdgeCertificate
from smkex.core.keys.keyfile import read_certificate
from smkex.core.wire.messages import Aead, ClientShare, Endpoint, Mode, Observation
from smkex.transport.driver import SessionDriver
from smkex.transport.frame_channel import FrameChannel

FORGED = b"FORGED by both paths in one hand\n"
CHUNK = 1 << 16
DAY = 86_400
HEADER = 32  # bytes: the phone's address on path 1, which goes before its bytes


def forged_identity(edge_id: int, genuine: Path | None) -> ServerConfig:
    """What the false edge shows: a certificate by a fleet key of its own, or the genuine one without its key."""
    key = X25519PrivateKey.generate()
    if genuine is not None:
        certificate = read_certificate(genuine.read_text())
    else:
        now, share = int(time.time()), key.public_key().public_bytes_raw()
        certificate = EdgeCertificate.issue(
            Ed25519PrivateKey.generate(), edge_id, share, now - DAY, now + DAY
        )
    modes = (Mode.TOFU, Mode.OPPORTUNISTIC)
    return ServerConfig(edge_id, modes, long_term=LongTermKey(key.private_bytes_raw(), certificate))


class _ForgedFile(asyncio.Protocol):
    """Answers any request with the forged file."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._request = b""

    def data_received(self, data: bytes) -> None:
        self._request += data
        if self._request.endswith(b"\r\n\r\n"):
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(FORGED), FORGED))


class Impersonator:
    """One of the two; `take` runs one connection of the phone's."""

    def __init__(self, path: int, meeting: Path, config: ServerConfig, tls: AttackerIdentity | None) -> None:
        self._path, self._accept_peering, self._config, self._tls = path, meeting, config, tls
        self._second: asyncio.Future[tuple[FrameChannel, Observation]] = (
            asyncio.get_running_loop().create_future()
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        if self._path == 0:
            server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            server.bind(str(self._accept_peering))
            server.listen(1)
            server.setblocking(False)
            task = asyncio.create_task(self._accept_peer(server))
            self._tasks.add(task)

    async def take(self, phone: socket.socket) -> None:
        await (self._be_the_edge(phone) if self._path == 0 else self._carry(phone))

    async def _accept_peer(self, server: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        sock, _ = await loop.sock_accept(server)
        sock.setblocking(False)
        address, _, port = (await loop.sock_recv(sock, HEADER)).decode().strip().rpartition(":")
        subflow = FrameChannel.from_socket(sock)
        self._second.set_result((subflow, Observation(2, Endpoint(ip_address(address), int(port)))))

    async def _be_the_edge(self, phone: socket.socket) -> None:
        address, port = phone.getpeername()
        first = FrameChannel.from_socket(phone)
        seen = Observation(1, Endpoint(ip_address(address), port))
        handshake = await self._first_path(first, seen)
        second, seen = await self._second
        _, frame = await second.next_frame()
        second.send(handshake.receive_nonce(1, frame, seen, os.urandom(32)))
        for number, subflow in enumerate((first, second)):
            _, frame = await subflow.next_frame()
            handshake.receive_finished(number, frame)
        session = SessionDriver(handshake.established, "server", {})
        session.start(_ForgedFile())
        for number, subflow in enumerate((first, second)):
            session.add_flow(number, subflow.flow, subflow.reader)

    async def _first_path(self, first: FrameChannel, seen: Observation) -> ServerHandshake:
        if self._tls is not None and await first.first_byte() == FIRST_BYTE:
            tls = await accept_tls(first, self._tls)
            info = ServerInfo(self._config.edge_id, self._config.locator, seen)
            handshake = ServerHandshake.after_tls(self._config, tls.finish(info))
            first.send(tls.to_send())
            return handshake
        _, frame = await first.next_frame()
        share = ClientShare.parse(frame)
        # a false edge cannot open the name, nor needs it; the transcript is over what the client has sent
        bare = rebuild_share(share, share.shares, tuple(map(Aead, share.aeads)))
        handshake = ServerHandshake.answer_client_share(self._config, bare, seen, os.urandom(32))
        handshake._first.first = frame
        first.send(handshake.server_share)
        return handshake

    async def _carry(self, phone: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        accomplice = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        accomplice.setblocking(False)
        await loop.sock_connect(accomplice, str(self._accept_peering))
        address, port = phone.getpeername()
        await loop.sock_sendall(accomplice, f"{address}:{port}".encode().ljust(HEADER))

        async def carry(source: socket.socket, sink: socket.socket) -> None:
            while data := await loop.sock_recv(source, CHUNK):
                await loop.sock_sendall(sink, data)

        await asyncio.gather(carry(phone, accomplice), carry(accomplice, phone))
