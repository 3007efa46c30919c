"""Transport `tcp`: one TCP connection a path, each bound to its interface. Needs no privilege."""

import asyncio
from dataclasses import replace

from smkex.core.errors import OnePathOnly, SmkexError
from smkex.core.handshake.client import ClientHandshake
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.wire.frame import FrameType
from smkex.core.wire.messages import LocatorKind
from smkex.transport.driver import SessionDriver
from smkex.transport.frame_channel import FrameChannel
from smkex.transport.routes.paths import connect_from, find_egresses, require_distinct_egress
from smkex.transport.routes.routes import Address
from smkex.transport.routes.target import Target, format_endpoint

__all__ = ["Target", "TcpTransport"]


class TcpTransport:
    """The client's two TCP connections (an `exchange.ClientTransport`)."""

    name = "tcp"
    finished_order = (0, 1)

    def __init__(
        self,
        target: Target,
        interfaces: tuple[str, str],
        *,
        allow_shared_path: bool = False,
        scheduler: Scheduler = Scheduler.LOWEST_LATENCY,
    ) -> None:
        self.target = target
        self._interfaces = interfaces
        self._allow_shared_path = allow_shared_path
        self._scheduler = scheduler
        self._channels: dict[int, FrameChannel] = {}
        self._locator: tuple[Address, int] = (target.vip, 0)
        self._received: list[tuple[int, FrameType, bytes]] = []

    async def open_first(self) -> None:
        """Connect path 0 unless it is connected."""
        if 0 in self._channels:
            return
        first, second = find_egresses(self._interfaces, self.target.vip)
        if not self._allow_shared_path:
            require_distinct_egress(first, second)
        await self._open(0, self._interfaces[0], (self.target.vip, self.target.service_port))

    async def open_second(self, edge_id: int, locator: LocatorKind) -> None:
        """Connect path 1. From here on `target` knows the kind of its locators."""
        self.target = replace(self.target, kind=locator)
        self._locator = self.target.locator(edge_id)
        try:
            await self._open(1, self._interfaces[1], self._locator)
        except OSError as error:
            raise self._second_path_error(error) from None

    async def open_both(self, edge_id: int) -> None:
        """Both paths to the locator of `edge_id` at once."""
        if not self._allow_shared_path:
            require_distinct_egress(*find_egresses(self._interfaces, self.target.vip))
        self._locator = self.target.locator(edge_id)
        results = await asyncio.gather(
            *(self._open(path, interface, self._locator) for path, interface in enumerate(self._interfaces)),
            return_exceptions=True,
        )
        for error in results:
            if error is not None:
                raise error

    async def send(self, path: int, frame: bytes) -> None:
        self._channels[path].send(frame)

    def send_bytes(self, path: int, data: bytes) -> None:
        """Send what is no frame: records of TLS (mode mtls)."""
        if data:
            self._channels[path].send(data)

    async def receive_tls_record(self, path: int) -> bytes:
        return await self._channels[path].next_tls_record()

    async def receive(self, expected: int) -> tuple[int, FrameType, bytes]:
        """Return the next frame and its path; the handshake checks whether it belongs there."""
        if self._received:
            return self._received.pop(0)
        waiting = {
            asyncio.ensure_future(channel.next_frame()): path for path, channel in self._channels.items()
        }
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            first = min(done, key=lambda task: (task.exception() is None, waiting[task]))
            self._received = [(waiting[task], *task.result()) for task in done if task.exception() is None]
            self._received.sort(key=lambda received: received[0])
            self._raise_second_path_error(waiting[first], first.exception())
            first.result()
            return self._received.pop(0)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _raise_second_path_error(self, path: int, ended: BaseException | None) -> None:
        """With Fast Open a refused connection shows only now."""
        broken = self._channels[path].flow.error
        if ended is None or path != 1 or isinstance(broken, ConnectionResetError):
            return
        if isinstance(broken, OSError):
            raise self._second_path_error(broken) from None

    def _second_path_error(self, error: OSError) -> OnePathOnly:
        where = f"{format_endpoint(str(self._locator[0]), self._locator[1])} by {self._interfaces[1]}"
        return OnePathOnly(f"no second path: {where}: {error.strerror or error}")

    def abort(self, error: SmkexError) -> None:
        for channel in self._channels.values():
            channel.abort(error)

    async def establish(self, handshake: ClientHandshake) -> SessionDriver:
        channels = sorted(self._channels.items())
        sockets = [channel.flow.socket for _, channel in channels]
        session = SessionDriver(
            handshake.established,
            "client",
            {
                "peername": sockets[0].getpeername(),
                "sockname": sockets[0].getsockname(),
                "addresses": tuple(format_endpoint(*sock.getsockname()[:2]) for sock in sockets),
            },
            self._scheduler,
        )
        for path, channel in channels:
            session.add_flow(path, channel.flow, channel.reader)
        return session

    async def _open(self, path: int, interface: str, where: tuple[Address, int]) -> None:
        # path 1 begins with a ClientNonce, which may be replayed: each is answered, and proves nothing by itself
        sock = await connect_from(interface, *where, fast_open=path == 1)
        self._channels[path] = FrameChannel.from_socket(sock, (str(where[0]), where[1]))
