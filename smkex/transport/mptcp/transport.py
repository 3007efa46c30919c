"""Transport `mptcp`, the client's side: one kernel MPTCP connection, each handshake message pinned to its path.

After the handshake the connection is one stream; it gives secrecy and integrity, not availability: an attacker that
saw the MP_CAPABLE keys can break it (RFC 8684 section 5).
"""

import contextlib
import socket
from dataclasses import replace

from smkex.core.errors import SharedPath, SmkexError, UnexpectedMessage
from smkex.core.handshake.client import ClientHandshake
from smkex.core.session.path import NEAR_RTT
from smkex.core.session.path_scheduler import fastest_path
from smkex.core.wire.frame import FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.locator import ADDRESS_BITS
from smkex.core.wire.messages import LocatorKind, encode_abort
from smkex.transport.driver import PathStatistics, SessionDriver
from smkex.transport.flow import UNSENT_LIMIT, Flow, limit_unsent
from smkex.transport.mptcp.connect import ClientConnection, connect_mptcp
from smkex.transport.mptcp.errors import MptcpUnsupported
from smkex.transport.mptcp.frames import receive_frame, receive_ready
from smkex.transport.mptcp.info import TCP_ESTABLISHED, SubflowInfo, connection_info
from smkex.transport.routes.target import Target

PROBE_IDLE, PROBE_INTERVAL = 5, 5  # seconds: of silence before the first keep-alive probe, and between two
PROBES = 4  # without an answer: the kernel closes the subflow


class MptcpTransport:
    """The client's MPTCP connection (an `exchange.ClientTransport`)."""

    name = "mptcp"

    def __init__(self, target: Target, interfaces: tuple[str, str], *, timeout: float) -> None:
        self._target = target
        self._interfaces = interfaces
        self._timeout = timeout
        self._connection: ClientConnection | None = None

    @property
    def finished_order(self) -> tuple[int, int]:
        """The path that is to carry the session comes last: the edge answers on it, and both ends keep to it.

        It is the first unless the other is clearly faster; a difference below NEAR_RTT is measurement noise.
        """
        subflows = self._pinned.subflows
        latencies = {path: max(subflow.rtt_us / 1e6, NEAR_RTT) for path, subflow in enumerate(subflows)}
        return (0, 1) if fastest_path(latencies, 0) == 1 else (1, 0)

    async def open_first(self) -> None:
        if self._interfaces[0] == self._interfaces[1]:
            raise SharedPath("transport mptcp needs two interfaces")
        vip = self._target.vip
        self._connection = await connect_mptcp(
            str(vip),
            self._target.service_port,
            self._interfaces,
            timeout=self._timeout,
            locator_bits=0 if self._target.kind is LocatorKind.PORT else ADDRESS_BITS[vip.version],
        )

    async def open_second(self, edge_id: int, locator: LocatorKind) -> None:
        if locator is LocatorKind.PORT and self._target.vip.version == 6:
            # the edge cannot announce it: see docs/forwarder/design.md, "Locators"
            raise MptcpUnsupported(
                "the edge has a port locator, and transport mptcp needs address locators over IPv6",
                hint="use --transport tcp, or IPv4",
            )
        address, port = replace(self._target, kind=locator).locator(edge_id)
        await self._pinned.join(str(address), port)

    async def send(self, path: int, frame: bytes) -> None:
        await self._pinned.send(path, frame)

    async def receive(self, expected: int) -> tuple[int, FrameType, bytes]:
        kind, frame = await receive_frame(self._pinned, expected)
        return expected, kind, frame

    def abort(self, error: SmkexError) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError, SmkexError):
                self._connection.abandon(encode_abort(error.code))
            self._connection.close()

    async def establish(self, handshake: ClientHandshake) -> SessionDriver:
        connection = self._pinned
        established = handshake.established
        await receive_ready(connection, connection.last_path, established.keys)
        sock = await connection.release()
        limit_unsent(sock, UNSENT_LIMIT)
        _probe_idle_subflows(sock)
        paths = connection.paths
        session = SessionDriver(
            established,
            "client",
            {
                "peername": (paths[0].remote, paths[0].remote_port),
                "sockname": (paths[0].local, paths[0].local_port),
                "addresses": tuple(f"{path.local}:{path.local_port}" for path in paths),
            },
        )
        session.add_flow(0, Flow(sock, (paths[0].remote, paths[0].remote_port)), FrameReader())
        last: dict[int, PathStatistics] = {}

        def statistics(path: int) -> PathStatistics:
            with contextlib.suppress(OSError, ValueError):
                for found in connection_info(sock).subflows:
                    if found.addresses == paths[path]:
                        last[path] = _read_statistics(found)
                        return last[path]
            return replace(last.get(path, PathStatistics(None, 0, 0)), rtt=None, state="closed")

        session.statistics_from = statistics
        session.on_closed = connection.close
        return session

    @property
    def _pinned(self) -> ClientConnection:
        if self._connection is None:
            raise UnexpectedMessage("the connection is not open")
        return self._connection


def _read_statistics(found: SubflowInfo) -> PathStatistics:
    state = "closed" if found.state != TCP_ESTABLISHED else "stalled" if found.unanswered > 1 else ""
    return PathStatistics(found.rtt_us / 1e6, found.bytes_sent, found.bytes_received, state)


def _probe_idle_subflows(sock: socket.socket) -> None:
    """Let the kernel find out about an idle subflow that is lost, behind a NAT say, and close it.

    Sockets of MPTCP have not all of these options on older kernels: there it shows once something is sent.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, PROBE_IDLE),
        (socket.TCP_KEEPINTVL, PROBE_INTERVAL),
        (socket.TCP_KEEPCNT, PROBES),
    ):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
