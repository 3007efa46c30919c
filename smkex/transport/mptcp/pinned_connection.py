"""One kernel MPTCP connection whose messages are pinned to paths, in lock-step (docs/decisions/mptcp-steering.md).

The kernel's scheduler uses a backup subflow only when no other can send. So to send on one path, an end marks the
other as backup, sends, sees from the counters that the bytes went that way and only that way, and takes the mark
back, since the marks of both ends count and the next message, perhaps the peer's, may need the other path. Taking
back is repeated while an end waits, because the MP_PRIO that tells the peer may be lost.

An MP_PRIO travels on the subflow that it is about. So what the peer's marks on a path are is certain once something
has arrived on that very path that the peer sent after its last change of them; `release` is for such a path.

Every deviation raises: nothing falls back. This module does not interpret the bytes.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable
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
        self._marked: set[int] = set()
        self._cleared: set[int] = set()

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
            wait = _Backoff()
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

    async def send(self, path: int, data: bytes, *, last: bool = False) -> None:
        """Send `data` on one path alone; return when the counters show that it went there.

        All that was received before must have been read and checked out. With `last` the other paths stay backup,
        for `release` to the same path. Raises MptcpWrongPath, MissingSubflow, UnexpectedSubflow, MptcpFellBack,
        PeerClosed, MptcpTimedOut, NotPermitted.
        """
        self.verify()
        self._require_path(path)
        async with self._bounded(f"path {path} could not be steered to or did not take the data"):
            await self._steer_to(path)
            self._check_sent()
            await self._write(data)
            self._sent[path] += len(data)
            await self._handed_over(path)
            if not last:
                await self._clear_marks(sorted(self._marked))

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
                self._check_received(subflows, ahead={path} if then is None else {path, then})
        return bytes(data)

    async def arriving_path(self) -> int:
        """Wait for the peer's next message and return its path. Raises MptcpWrongPath where it is both."""
        async with self._bounded("nothing came on any path"):
            await self._readable()
        arriving = [
            path
            for path, subflow in enumerate(self._snapshot())
            if subflow.bytes_received != self._received[path]
        ]
        if len(arriving) != 1:
            raise MptcpWrongPath(f"one message came on {len(arriving)} paths")
        return arriving[0]

    def verify(self) -> None:
        """Check that exactly the expected subflows exist and that each has carried exactly what it should have.

        Call it after each whole message, before believing it. Raises as `send` does.
        """
        subflows = self._snapshot()
        self._check_received(subflows, ahead=set())
        self._check_sent(subflows)

    async def release(self, prefer: int) -> socket.socket:
        """End the pinning and hand back the socket, once nothing but path `prefer` can carry what is sent here.

        The others are backup by this end's own mark, and neither end's mark is on `prefer`: the kernel uses the
        others only when `prefer` fails. Both ends must name the same path, that of the last pinned message; were
        each to prefer another, both would be backup at both ends, and the kernel would spread the stream over them.
        The receiver of that message verifies it, releases, and streams first: the peer, which may release
        later, treats what it finds then as stream. Raises MptcpTimedOut where the peer's mark stays on `prefer`.
        """
        subflows = self._snapshot()
        self._check_received(subflows, ahead=set(range(len(subflows))))
        self._check_sent(subflows)
        self._require_path(prefer)
        async with self._bounded(f"the kernel could not be made to prefer path {prefer}"):
            # once more, since the MP_PRIO that said so may have been lost
            await self._clear_marks(sorted({prefer} & (self._marked | self._cleared)))
            await self._steer_to(prefer)
        return self._socket

    def abandon(self, last_word: bytes) -> None:
        """Send `last_word` on whatever path the kernel likes: a hint, after the exchange has failed."""
        self._socket.send(last_word)

    def close(self) -> None:
        self._socket.close()

    async def _steer_to(self, path: int) -> None:
        if len(self._paths) == 1:
            return
        for other, addresses in enumerate(self._paths):
            if other != path and other not in self._marked:
                self._marked.add(other)
                self._cleared.discard(other)
                await self._steering.set_backup(self.token, addresses, True)
        wait = _Backoff()
        while True:
            state = await self._steering.inspect(self._paths[path])
            usable = state.fully_established or path == 0
            if usable and not state.backup_at_peer and not state.backup_here:
                return
            await wait()

    async def _clear_marks(self, paths: Iterable[int]) -> None:
        for path in paths:
            await self._steering.set_backup(self.token, self._paths[path], False)
            self._cleared.add(path)
            self._marked.discard(path)

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
        wait = _Backoff()
        while True:
            subflows = self._snapshot()
            for other, subflow in enumerate(subflows):
                if subflow.bytes_sent + subflow.bytes_unsent > self._sent[other]:
                    raise MptcpWrongPath(f"more was sent on path {other} than the message for path {path}")
            if subflows[path].bytes_sent == self._sent[path]:
                return
            await wait()

    async def _readable(self) -> None:
        """Wait for data, repeating to the peer that no path is backup here."""
        pause = _REPEAT_FIRST
        while True:
            try:
                async with asyncio.timeout(pause if self._cleared else None):
                    return await wait_ready(self._socket)
            except TimeoutError:
                await self._clear_marks(sorted(self._cleared))
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


class _Backoff:
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
