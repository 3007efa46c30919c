"""One connected TCP socket: reads go to its owner; writes go out at the end of the loop's turn, together.

One system call takes all that was written in a turn, and the answers of one turn leave one after the other, which costs
the processor less than in turn with the reading of requests. What a socket does not take is kept by reference, never
copied. The owner is a handshake first, then a session.
"""

import errno
import socket
import threading
import time
from typing import Any, Final, Protocol

from smkex.core.session.path import NEAR_RTT
from smkex.core.wire.frame import HANDSHAKE_LIMIT
from smkex.transport.event_loop import running_poller
from smkex.transport.poller import READABLE, WRITABLE, Poller

Data = bytes | bytearray | memoryview

MAX_SEND_BUFFERS: Final = 16  # buffers given to the kernel in one call
MAX_DRAIN_READS: Final = 64  # reads at most from a connection that has broken: more than its kernel holds
SEND_BUFFER: Final = 64 << 10  # bytes a flow queues in user space before it asks for a pause: a record
UNSENT_LIMIT: Final = 128 << 10  # bytes in the kernel that were never sent: more would only make latency
UNSENT_LIMIT_FAR: Final = 16 << 10  # the same where round trips take time: a path may be slow to start
RECEIVE_BUFFER: Final = 256 << 10  # bytes taken from the kernel at once
SHORT_READ: Final = 4 << 10  # bytes that a flow reads at once until that many came
TCP_NOTSENT_LOWAT: Final = 25  # linux/tcp.h
RTT_AT: Final = 68  # tcpi_rtt in struct tcp_info, microseconds
TCP_INFO_SIZE: Final = 104
_UNKNOWN_OPTION: Final = (errno.ENOPROTOOPT, errno.EOPNOTSUPP)

# one receive buffer for all flows of a thread: one for each read would cost more than the read
_thread = threading.local()


def receive_buffer() -> memoryview:
    """Return the buffer that all flows of this thread's event loop receive into."""
    try:
        found: memoryview = _thread.buffer
    except AttributeError:
        found = _thread.buffer = memoryview(bytearray(RECEIVE_BUFFER))
    return found


class FlowOwner(Protocol):
    """Receiver of what a flow reads, and of its end."""

    def flow_received(self, flow: "Flow", data: bytes | memoryview, now: float) -> None:
        """Bytes have arrived. A view of them is valid during the call: the next read changes it."""

    def flow_writable(self, flow: "Flow") -> None:
        """There is room again after `flow.writable` was False."""

    def flow_lost(self, flow: "Flow", error: Exception | None) -> None:
        """The flow is closed; `error` is why, None for an end in order."""


class _NoOwner:
    """The owner of a flow that has ended: what it had would be found by the garbage collector alone, much later."""

    def flow_received(self, flow: "Flow", data: bytes | memoryview, now: float) -> None: ...
    def flow_writable(self, flow: "Flow") -> None: ...
    def flow_lost(self, flow: "Flow", error: Exception | None) -> None: ...


_NO_OWNER: Final = _NoOwner()


class Flow:
    """A connected socket on the poller of the running event loop. What is written must not change afterwards.

    `path` is the owner's number for it. Reads are short until `become_path`: what comes in a handshake is held.
    """

    owner: FlowOwner

    def __init__(self, sock: socket.socket, peer: Any = None, poller: Poller | None = None) -> None:
        """`sock` does not block, and is the flow's from now on; `peer`, its address, spares a system call.

        `poller` is the running event loop's, which is looked up without it. It reads from `start` on. Raises OSError
        where the connection is gone already.
        """
        self.socket = sock
        self.peer: Any = peer if peer is not None else sock.getpeername()
        self.path = -1
        self.writable = True
        self.lost = False
        self.closing = False
        self.error: Exception | None = None  # that broke it
        self.send_buffer: int = SEND_BUFFER
        self._poller: Poller = poller or running_poller()
        self._number = sock.fileno()
        self._buffer = receive_buffer()[:HANDSHAKE_LIMIT]
        self._reads_much = False
        self._queue: list[Data] = []  # a deque would take 600 bytes of each idle path
        self._queued = 0
        self._is_flush_deferred = False
        self._broken = False
        self._paused = False
        self._mask: int = 0

    def start(self, owner: FlowOwner) -> None:
        """Read for `owner` from now on."""
        self.owner = owner
        self._watch()

    # --- events

    def on_event(self, mask: int, now: float) -> None:
        if mask & ~WRITABLE and self._mask & READABLE:
            self._read(now)
        if mask & ~READABLE and self._mask & WRITABLE:
            self._send_queued()

    def on_fault(self, error: Exception) -> None:
        self._close_now(error)

    def _watch(self) -> None:
        """Tell the poller what to wait for now."""
        mask = 0
        if not self.lost:
            if not (self._paused or self.closing or self._broken):
                mask = READABLE
            if self._queue:
                mask |= WRITABLE
        before, self._mask = self._mask, mask
        if mask == before:
            return
        if not mask:
            self._poller.remove(self._number)
        elif before:
            self._poller.change(self._number, self, mask)
        else:
            self._poller.add(self._number, self, mask)

    # --- reading

    @property
    def is_reading(self) -> bool:
        return not self._paused and not self.closing

    def pause_reading(self) -> None:
        self._paused = True
        self._watch()

    def resume_reading(self) -> None:
        self._paused = False
        self._watch()

    def _read(self, now: float) -> None:
        data: bytes | memoryview
        try:
            if self._reads_much:
                count: int = self.socket.recv_into(self._buffer)
                self._reads_much = count > SHORT_READ
                data = self._buffer[:count]
            else:  # a request: half the objects of the other way
                data = self.socket.recv(SHORT_READ)
                self._reads_much = len(data) == SHORT_READ
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._close_now(error)
            return
        if data:
            self.owner.flow_received(self, data, now)
        else:
            self.close()

    # --- writing

    def write(self, data: Data) -> None:
        if self.lost or self._broken or not data:
            return
        self._queue.append(data)
        self._queued += len(data)
        if self._queued > self.send_buffer:
            self.flush()
            if self._queued > self.send_buffer:
                self.writable = False
        elif not self._is_flush_deferred and not self._mask & WRITABLE:
            self._is_flush_deferred = True
            self._poller.defer(self._flush_deferred)

    @property
    def unsent(self) -> int:
        """Bytes that wait for room in the socket."""
        return self._queued

    def _flush_deferred(self) -> None:
        self._is_flush_deferred = False
        self.flush()

    def flush(self) -> None:
        """Send what is queued, unless that waits for room already."""
        if self._queue and not self._mask & WRITABLE:
            self._send_queued()

    def _send_queued(self) -> None:
        try:
            if len(self._queue) == 1:  # the usual case
                sent: int = self.socket.send(self._queue[0])
            else:
                sent = self.socket.sendmsg(self._queue[:MAX_SEND_BUFFERS])
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._stop_writing(error)
            return
        self._queued -= sent
        whole = 0
        for data in self._queue:
            if len(data) > sent:
                break
            sent -= len(data)
            whole += 1
        del self._queue[:whole]
        if sent:
            self._queue[0] = memoryview(self._queue[0])[sent:]
        if not self.writable and self._queued <= self.send_buffer // 4:
            self.writable = True
            self.owner.flow_writable(self)  # which may write more
        if not self._queue and self.closing:
            self._close_now(None)
        else:
            self._watch()

    def _stop_writing(self, error: OSError) -> None:
        """Stop sending; read what has arrived before the end: it may be an Abort."""
        self._broken = True
        self._queue.clear()
        self._queued = 0
        self._watch()
        self.error = error.with_traceback(None)
        self._poller.defer(self._drain)

    def _drain(self) -> None:
        try:
            for _ in range(MAX_DRAIN_READS):
                if self.lost or not self.is_reading:
                    break
                try:
                    count: int = self.socket.recv_into(self._buffer)
                except OSError:  # nothing to read, or the same error
                    break
                if not count:
                    break
                self.owner.flow_received(self, self._buffer[:count], time.monotonic())
        finally:
            self._close_now(self.error)

    # --- the end

    def close(self) -> None:
        """Close after queued data is sent."""
        if self.closing:
            return
        self.flush()
        self.closing = True
        if self._queue:
            self._watch()
        else:
            self._close_now(None)

    def abort(self) -> None:
        """Close now; what the socket does not take at once is dropped."""
        self.flush()
        self._close_now(None)

    def _close_now(self, error: Exception | None) -> None:
        """Close now; the owner is notified in the loop's next turn."""
        if self.lost:
            return
        self.lost = self.closing = True
        self._queue.clear()
        self._queued = 0
        # its frames would keep this flow, and what was read
        self.error = error.with_traceback(None) if error is not None else None
        self._watch()
        self._poller.defer(self._end)

    def release(self) -> socket.socket:
        """Return the socket, whose events this flow no longer serves; the owner is not notified."""
        self.lost = self.closing = True
        self._queue.clear()
        self._watch()
        self.owner = _NO_OWNER
        return self.socket

    def _end(self) -> None:
        try:
            self.owner.flow_lost(self, self.error)
        finally:
            self.owner = _NO_OWNER
            self.socket.close()

    # --- as a path of a session

    def become_path(self, owner: FlowOwner, path: int) -> float:
        """Pass all further data to `owner`; return the round-trip time in seconds, 0.0 where the flow is lost."""
        self.owner, self.path = owner, path
        self._buffer = receive_buffer()
        if self.lost:
            return 0.0
        rtt = self.rtt()
        if rtt >= NEAR_RTT:
            # queued data delays anything more urgent, such as a retransmission
            self.send_buffer = 0
            limit_unsent(self.socket, UNSENT_LIMIT_FAR)
        self.resume_reading()
        return rtt

    def rtt(self) -> float:
        """Smoothed round-trip time in seconds, from the kernel's TCP_INFO; 0.0 where the socket has none (Unix)."""
        try:
            info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
        except OSError:
            return 0.0
        return int.from_bytes(info[RTT_AT : RTT_AT + 4], "little") / 1e6


def configure_connection(sock: socket.socket) -> None:
    """Send small packets at once, and hold little that was never sent: for a connection, or a socket that listens."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    limit_unsent(sock, UNSENT_LIMIT)


def limit_unsent(sock: socket.socket, size: int) -> None:
    """Limit the bytes that the kernel holds unsent.

    Leaves the kernel's default where it cannot: sockets of MPTCP have no such option on Debian 12 (Linux 6.1).
    """
    try:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, size)
    except OSError as error:
        if error.errno not in _UNKNOWN_OPTION:
            raise
