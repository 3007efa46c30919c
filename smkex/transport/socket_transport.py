"""A connected TCP socket as the transport of a subflow, cheaper than asyncio's own.

For one connection asyncio's makes a coroutine, a future, three callbacks and six system calls, twice for every
handshake of an edge; and it copies what a socket does not take at once; this one keeps a reference.
"""

import asyncio
import socket
from collections import deque
from typing import Any

Data = bytes | bytearray | memoryview
MAX_SEND_BUFFERS = 16  # buffers given to the kernel in one call
MAX_DRAIN_READS = 64  # reads at most from a connection that has broken: more than its kernel holds
_WOULD_BLOCK = (BlockingIOError, InterruptedError)


class SocketTransport(asyncio.Transport):
    """Read into the protocol's buffer, write at once or when the socket has room again.

    `get_extra_info` knows "socket" and "peername". What is written must not change afterwards.
    """

    def __init__(self, sock: socket.socket, protocol: asyncio.BufferedProtocol, peer: Any = None) -> None:
        """`sock` does not block, and is this transport's from now on; `peer` spares a system call."""
        super().__init__({"socket": sock, "peername": peer or sock.getpeername()})
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._number = sock.fileno()
        self._protocol = protocol
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        self._low, self._high = 16 << 10, 64 << 10
        self._closing = self._lost = self._broken = False
        self._reading_paused = self._writing_paused = self._awaiting_room = False
        protocol.connection_made(self)
        if self.is_reading():
            self._loop.add_reader(self._number, self._on_readable)

    # --- reading

    def pause_reading(self) -> None:
        if not self._closing and not self._reading_paused:
            self._reading_paused = True
            self._loop.remove_reader(self._number)

    def resume_reading(self) -> None:
        if self._reading_paused and not self._closing:
            self._reading_paused = False
            self._loop.add_reader(self._number, self._on_readable)

    def is_reading(self) -> bool:
        return not self._closing and not self._reading_paused

    def _on_readable(self) -> None:
        try:
            count = self._socket.recv_into(self._protocol.get_buffer(-1))
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self._close_now(error)
            return
        self._received(count)

    def _received(self, count: int) -> None:
        try:
            if count:
                self._protocol.buffer_updated(count)
            elif self._protocol.eof_received():
                self.pause_reading()
            else:
                self.close()
        except Exception as error:  # a bug here must not leak the connection
            self._loop.call_exception_handler(
                {"message": "a subflow failed", "exception": error, "transport": self}
            )
            self._close_now(error)

    # --- writing

    def write(self, data: Data) -> None:
        if self._lost or self._broken or not data:
            return
        sent = 0
        if not self._queue:
            try:
                sent = self._socket.send(data)
            except _WOULD_BLOCK:
                pass
            except OSError as error:
                self._stop_writing(error)
                return
            if sent == len(data):
                return
            self._await_room(True)
        self._queue.append(memoryview(data)[sent:])
        self._queued += len(data) - sent
        if self._queued > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def _on_writable(self) -> None:
        try:
            self._sent(self._socket.sendmsg([*self._queue][:MAX_SEND_BUFFERS]))
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self._stop_writing(error)
            return
        if self._writing_paused and self._queued <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()  # which may write more
        if not self._queue:
            self._await_room(False)
            if self._closing:
                self._close_now(None)

    def _stop_writing(self, error: OSError) -> None:
        """Stop sending; read what has arrived before the end: it may be an Abort."""
        self._broken = True
        self._queue.clear()
        self._queued = 0
        self._await_room(False)
        self._loop.call_soon(self._drain, error)

    def _drain(self, error: OSError) -> None:
        for _ in range(MAX_DRAIN_READS):
            if self._lost or not self.is_reading():
                break
            try:
                count = self._socket.recv_into(self._protocol.get_buffer(-1))
            except OSError:  # nothing to read, or the same error
                break
            if not count:
                break
            self._received(count)
        self._close_now(error)

    def _await_room(self, awaiting: bool) -> None:
        if awaiting is self._awaiting_room:
            return
        self._awaiting_room = awaiting
        if awaiting:
            self._loop.add_writer(self._number, self._on_writable)
        else:
            self._loop.remove_writer(self._number)

    def _sent(self, count: int) -> None:
        self._queued -= count
        while count:
            first = self._queue.popleft()
            if len(first) > count:
                self._queue.appendleft(first[count:])
                return
            count -= len(first)

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self._queued

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = (64 << 10 if low is None else 4 * low) if high is None else high
        self._low = self._high // 4 if low is None else low

    # --- the end

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Close after queued data is sent."""
        if self._closing:
            return
        if not self._reading_paused:
            self._loop.remove_reader(self._number)
        self._closing = True
        if not self._queue:
            self._close_now(None)

    def abort(self) -> None:
        """Close now; what was not sent is dropped."""
        self._close_now(None)

    def _close_now(self, error: Exception | None) -> None:
        """Close now; the protocol is notified in the loop's next iteration."""
        if self._lost:
            return
        self._lost = True
        if not self._closing and not self._reading_paused:
            self._loop.remove_reader(self._number)
        self._closing = True
        self._queue.clear()
        self._queued = 0
        self._await_room(False)
        self._loop.call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._socket.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.BufferedProtocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol
