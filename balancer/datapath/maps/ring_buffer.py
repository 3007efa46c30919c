"""Read a BPF ring buffer by mmap (Linux, Documentation/bpf/ringbuf.rst), without libbpf."""

import mmap
import select
import struct
from collections.abc import Iterator

BUSY, DISCARDED, HEADER = 1 << 31, 1 << 30, 8
PAGE = mmap.PAGESIZE


class RingBuffer:
    """Consumer of one ring buffer map; only one may exist at a time. `size`: of the data, in bytes."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self._size = descriptor, size
        self._consumer = mmap.mmap(descriptor, PAGE)
        # the data is mapped twice in a row, so that a record that wraps is contiguous
        self._producer = mmap.mmap(descriptor, PAGE + 2 * size, prot=mmap.PROT_READ, offset=PAGE)
        self._poll = select.epoll()
        self._poll.register(descriptor, select.EPOLLIN)

    def discard_unread(self) -> None:
        """Discard all unread records."""
        self._consumer[:8] = self._producer[:8]

    def read(self, timeout: float) -> Iterator[bytes]:
        """Yield available records; wait up to `timeout` seconds for the first."""
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
