"""Read a BPF ring buffer through its mappings (Documentation/bpf/ringbuf.rst of Linux): no library."""

import mmap
import select
import struct
from collections.abc import Iterator

BUSY, DISCARDED, HEADER = 1 << 31, 1 << 30, 8
PAGE = mmap.PAGESIZE


class RingBuffer:
    """The consumer of one ring buffer map; there may be only one at a time. `size` is that of the data, in bytes."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self._size = descriptor, size
        self._consumer = mmap.mmap(descriptor, PAGE)
        # the data is mapped twice in a row, so that a record that wraps lies in one piece
        self._producer = mmap.mmap(descriptor, PAGE + 2 * size, prot=mmap.PROT_READ, offset=PAGE)
        self._poll = select.epoll()
        self._poll.register(descriptor, select.EPOLLIN)

    def skip(self) -> None:
        """Throw away what nobody has read."""
        self._consumer[:8] = self._producer[:8]

    def read(self, timeout: float) -> Iterator[bytes]:
        """Yield the records that are there, after waiting for the first."""
        self._poll.poll(timeout)
        position = struct.unpack("=Q", self._consumer[:8])[0]
        while position < struct.unpack("=Q", self._producer[:8])[0]:
            at = PAGE + position % self._size
            (length,) = struct.unpack("=I", self._producer[at : at + 4])
            if length & BUSY:
                return
            size = length & ~DISCARDED
            if not length & DISCARDED:
                yield self._producer[at + HEADER : at + HEADER + size]
            position += -(-(HEADER + size) // 8) * 8
            self._consumer[:8] = struct.pack("=Q", position)

    def close(self) -> None:
        self._poll.close()
        self._consumer.close()
        self._producer.close()
