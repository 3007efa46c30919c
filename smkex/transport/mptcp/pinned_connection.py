"""One kernel MPTCP connection whose messages are pinned to paths, in lock-step (docs/decisions/mptcp-steering.md).

The kernel's scheduler uses a backup subflow only when no other can send. So a message is sent on one path by marking
all others as backup, and the counters show that its bytes went that way and only that way.

The marks of both ends count, so only the client sets any. It changes them before it sends on another path, and
repeats them while it waits, because the MP_PRIO that tells the edge may be lost. The edge answers on the path that
the client used last, and only once it sees the client's marks on all others and none on this one. Whatever is still
on its way cannot change that: an MP_PRIO travels on the subflow that it is about, so what takes a mark from a path
comes there before the message that follows, and a mark that has not come yet is waited for.

Every deviation raises: nothing falls back. This module does not interpret the bytes.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from smkex.transport.mptcp.errors import (
    MissingSubflow,
    MptcpError,
    MptcpFellBack,
    MptcpTimedOut,
    MptcpUnsupported,
    MptcpWrongEgress,
    MptcpWrongPath,
    NotPermitted,
    PeerClosed,
    UnexpectedSubflow,
)
from smkex.transport.mptcp.info import TCP_CLOSE, TCP_ESTABLISHED, FourTuple, SubflowInfo, connection_info
from smkex.transport.mptcp.subflow_diag import SubflowState

__all__ = [
    "MissingSubflow",
    "MptcpError",
    "MptcpFellBack",
    "MptcpTimedOut",
    "MptcpUnsupported",
    "MptcpWrongEgress",
    "MptcpWrongPath",
    "NotPermitted",
    "PeerClosed",
    "PinnedConnection",
    "PollBackoff",
    "Steering",
    "UnexpectedSubflow",
    "wait_ready",
]

_FIRST_WAIT, _LONGEST_WAIT = 0.0005, 0.02
_REPEAT_FIRST, _REPEAT_LONGEST = 0.2, 1.6


class Steering(Protocol):
    """Operations that need CAP_NET_ADMIN: netlink in this process (client) or a helper process (edge)."""

    async def set_backup(self, token: int, addresses: FourTuple, backup: bool) -> None:
        """Mark a subflow as backup or not. Raises NotPermitted, MissingSubflow."""

    async def inspect(self, addresses: FourTuple) -> SubflowState:
        """Return a subflow's marks. Raises MissingSubflow."""


class PinnedConnection:
    """A connected, non-blocking MPTCP socket with one subflow, path 0, until another is expected.

    This is the edge's end, which follows the client's marks; `ClientConnection` sets them.
    `timeout` bounds each call that waits, in seconds. After an error the connection is only good for `close`.
    """

    def __init__(self, sock: socket.socket, steering: Steering, *, timeout: float = 10.0) -> None:
        """Raise MptcpFellBack for plain TCP and UnexpectedSubflow where there are already more."""
        self._socket = sock
        self._steering = steering
        self._timeout = timeout
        info = _read_subflows(sock)
        if len(info) != 1:
            raise UnexpectedSubflow(f"{len(info)} subflows where one was expected")
        self.token = connection_info(sock).token
        self._paths: list[FourTuple] = [info[0].addresses]
        # The counters start where they are: whatever came before the first look belongs to the first message.
        self._sent = [info[0].bytes_sent + info[0].bytes_unsent]
        self._received = [0]
        self._joining: Callable[[FourTuple], bool] | None = None
        self._last_path = 0

    @property
    def last_path(self) -> int:
        """The path of the last message that was sent or received."""
        return self._last_path

    @property
    def paths(self) -> tuple[FourTuple, ...]:
        """The pinned 4-tuples in the order of the paths."""
        return tuple(self._paths)

    @property
    def subflows(self) -> tuple[SubflowInfo, ...]:
        """The subflows as they are now, in the order of the paths. Raises as `verify` does, counters aside."""
        return tuple(self._snapshot())

    def expect_join(self, matches: Callable[[FourTuple], bool]) -> None:
        """From now on one more subflow may appear, the next path; `matches` says whether it is the right one."""
        self._joining = matches

    async def joined(self, *, started: bool = False) -> FourTuple:
        """Wait for the expected subflow until it can carry data. Raises MissingSubflow, UnexpectedSubflow.

        With `started` it is there already, being connected: when it goes away it has been refused.
        """
        async with self._bounded("no second subflow", MissingSubflow):
            wait = PollBackoff()
            while self._joining is not None:
                self._snapshot()
                if self._joining is not None:
                    if started and not self._connecting():
                        raise MissingSubflow("the second subflow was refused")
                    await wait()
            while not (await self._steering.inspect(self._paths[-1])).fully_established:
                self._snapshot()
                await wait()
        return self._paths[-1]

    async def send(self, path: int, data: bytes) -> None:
        """Send `data` on one path alone; return when the counters show that it went there.

        All that was received before must have been read and checked out. The edge can use the client's last path
        only. Raises MptcpWrongPath, MissingSubflow, UnexpectedSubflow, MptcpFellBack, PeerClosed, MptcpTimedOut,
        NotPermitted.
        """
        self.verify()
        self._require_path(path)
        async with self._bounded(f"path {path} could not be steered to or did not take the data"):
            await self._steer_to(path)
            self._check_sent()
            await self._write(data)
            self._sent[path] += len(data)
            self._last_path = path
            await self._handed_over(path)

    async def receive_exactly(self, path: int, n: int, *, then: int | None = None) -> bytes:
        """Read `n` bytes that must come on `path`, and only there.

        More of the same message may have come behind them; `verify`, or the next `send`, tells that the message
        ended where it should. With `then`, the peer's next message may already be coming on that path.
        """
        data = bytearray()
        async with self._bounded(f"{n} bytes on path {path} did not come"):
            while len(data) < n:
                await self._readable()
                try:
                    chunk = self._socket.recv(n - len(data))
                except BlockingIOError:
                    continue
                except ConnectionError as error:
                    raise PeerClosed(f"the connection ended while waiting on path {path}: {error}") from error
                subflows = self._snapshot()
                if not chunk:
                    raise PeerClosed(f"the peer closed while {n - len(data)} bytes were due on path {path}")
                self._require_path(path)
                data += chunk
                self._received[path] += len(chunk)
                self._last_path = path
                self._check_received(subflows, ahead={path} if then is None else {path, then})
        return bytes(data)

    async def peek_exactly(self, n: int) -> bytes:
        """Wait for the next `n` bytes, on whatever path they come, and leave them to be received."""
        async with self._bounded(f"{n} bytes did not come"):
            wait = PollBackoff()
            while True:
                await self._readable()
                try:
                    data = self._socket.recv(n, socket.MSG_PEEK)
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise PeerClosed(f"the connection ended while waiting: {error}") from error
                if len(data) == n:
                    return data
                if not data:
                    raise PeerClosed(f"the peer closed while {n} bytes were due")
                await wait()

    def verify(self) -> None:
        """Check that exactly the expected subflows exist and that each has carried exactly what it should have.

        Call it after each whole message, before believing it. Raises as `send` does.
        """
        subflows = self._snapshot()
        self._check_received(subflows, ahead=set())
        self._check_sent(subflows)

    async def release(self) -> socket.socket:
        """End the pinning and hand back the socket: the path of the last pinned message carries what is sent.

        The kernel uses the others only when that one fails, since they are backup by the marks of both ends and
        that one by neither's. Were each end to choose a path for itself, both could be backup, and the kernel would
        spread the stream over them. The receiver of the last message verifies it, releases, and streams first: the
        peer, which may release later, treats what it finds then as stream. Raises as `send` does.
        """
        subflows = self._snapshot()
        self._check_received(subflows, ahead=set(range(len(subflows))))
        self._check_sent(subflows)
        async with self._bounded(f"path {self._last_path} could not be steered to"):
            await self._steer_to(self._last_path)
            await self._hold_path(self._last_path)
        return self._socket

    def abandon(self, last_word: bytes) -> None:
        """Send `last_word` on whatever path the kernel likes: a hint, after the exchange has failed."""
        self._socket.send(last_word)

    def close(self) -> None:
        self._socket.close()

    async def _steer_to(self, path: int) -> None:
        """Wait until the client's marks leave nothing but `path`."""
        wait = PollBackoff()
        while len(self._paths) > 1 and not (
            await self._is_usable(path) and await self._are_backup_at_peer(path)
        ):
            await wait()

    async def _hold_path(self, path: int) -> None:
        """Mark all other paths here too, for good."""
        for other, addresses in enumerate(self._paths):
            if other != path:
                await self._steering.set_backup(self.token, addresses, True)

    async def _repeat_marks(self) -> None:
        """Tell the peer once more which paths are backup here."""

    async def _is_usable(self, path: int) -> bool:
        state = await self._steering.inspect(self._paths[path])
        established = state.fully_established or path == 0
        return established and not state.backup_at_peer and not state.backup_here

    async def _are_backup_at_peer(self, path: int) -> bool:
        """Whether the peer has marked all paths but `path`."""
        others = [addresses for other, addresses in enumerate(self._paths) if other != path]
        return all([(await self._steering.inspect(addresses)).backup_at_peer for addresses in others])

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                await wait_ready(self._socket, write=True)
            except OSError as error:
                raise PeerClosed(f"the connection ended while sending: {error}") from error

    async def _handed_over(self, path: int) -> None:
        wait = PollBackoff()
        while True:
            subflows = self._snapshot()
            for other, subflow in enumerate(subflows):
                if subflow.bytes_sent + subflow.bytes_unsent > self._sent[other]:
                    raise MptcpWrongPath(f"more was sent on path {other} than the message for path {path}")
            if subflows[path].bytes_sent == self._sent[path]:
                return
            await wait()

    async def _readable(self) -> None:
        """Wait for data, repeating to the peer which paths are backup here."""
        pause: float = _REPEAT_FIRST
        while True:
            try:
                async with asyncio.timeout(pause):
                    return await wait_ready(self._socket)
            except TimeoutError:
                await self._repeat_marks()
                pause = min(2 * pause, _REPEAT_LONGEST)

    def _snapshot(self) -> list[SubflowInfo]:
        """Read the subflows, accept the expected join, and return them in the order of the paths."""
        found = {subflow.addresses: subflow for subflow in _read_subflows(self._socket)}
        for addresses in found:
            if addresses in self._paths:
                continue
            if self._joining is None or not self._joining(addresses):
                raise UnexpectedSubflow(f"unexpected subflow {addresses}")
            if found[addresses].state == TCP_ESTABLISHED:
                self._joining = None
                self._paths.append(addresses)
                self._sent.append(0)
                self._received.append(0)
        for path, addresses in enumerate(self._paths):
            if addresses not in found:
                raise MissingSubflow(f"the subflow of path {path} ({addresses}) is gone")
            if found[addresses].state != TCP_ESTABLISHED:
                raise PeerClosed(f"the subflow of path {path} ({addresses}) is closing")
        return [found[addresses] for addresses in self._paths]

    def _connecting(self) -> bool:
        subflows = _read_subflows(self._socket)
        return any(s.addresses not in self._paths and s.state != TCP_CLOSE for s in subflows)

    def _check_received(self, subflows: list[SubflowInfo], *, ahead: set[int]) -> None:
        for path, subflow in enumerate(subflows):
            surplus = subflow.bytes_received - self._received[path]
            if surplus < 0 or (surplus > 0 and path not in ahead):
                raise MptcpWrongPath(
                    f"path {path} received {subflow.bytes_received} bytes instead of {self._received[path]}"
                )

    def _check_sent(self, subflows: list[SubflowInfo] | None = None) -> None:
        for path, subflow in enumerate(subflows or self._snapshot()):
            sent = subflow.bytes_sent + subflow.bytes_unsent
            if sent != self._sent[path]:
                raise MptcpWrongPath(f"path {path} sent {sent} bytes instead of {self._sent[path]}")

    def _require_path(self, path: int) -> None:
        if path >= len(self._paths):
            raise MissingSubflow(f"path {path} has no subflow")

    @contextlib.asynccontextmanager
    async def _bounded(self, what: str, error: type[MptcpError] = MptcpTimedOut) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError:
            raise error(f"{what} within {self._timeout:g} s") from None


class PollBackoff:
    """Poll often at first, seldom later."""

    def __init__(self) -> None:
        self._wait = _FIRST_WAIT

    async def __call__(self) -> None:
        await asyncio.sleep(self._wait)
        self._wait = min(2 * self._wait, _LONGEST_WAIT)


def _read_subflows(sock: socket.socket) -> tuple[SubflowInfo, ...]:
    try:
        info = connection_info(sock)
    except OSError as error:
        raise PeerClosed(f"the connection has ended: {error}") from error
    if info.fell_back:
        raise MptcpFellBack("this connection is plain TCP, not MPTCP")
    return info.subflows


async def wait_ready(sock: socket.socket, *, write: bool = False) -> None:
    """Wait until the socket is readable (writable)."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(sock.fileno(), lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        remove(sock.fileno())
