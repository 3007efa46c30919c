"""One direction of an emulated link, without I/O: first in, first out, a finite queue, a rate, a delay."""

from collections import deque

from lab.emulation.impairment import Impairment


class Pipe:
    """Frames go in with the time of their arrival and come out when they are due. Never in another order."""

    def __init__(self, impairment: Impairment) -> None:
        self.dropped = 0
        self._frames: deque[tuple[float, bytes]] = deque()
        self._free_at = 0.0  # when the link has sent what was given to it
        self.change(impairment)

    def change(self, impairment: Impairment) -> None:
        """Be like this from the next frame on; what is inside keeps its time."""
        self._delay = impairment.delay
        self._per_byte = 8 / impairment.rate if impairment.rate else 0.0
        # no byte takes time without a rate: the queue is never longer than nothing
        self._longest_wait = impairment.queue_bytes * self._per_byte

    def push(self, now: float, frame: bytes, size: int | None = None) -> bool:
        """Take a frame of `size` bytes on the wire; False where the queue is full and it is lost."""
        waits = max(0.0, self._free_at - now)
        if waits > self._longest_wait:
            self.dropped += 1
            return False
        self._free_at = now + waits + (len(frame) if size is None else size) * self._per_byte
        due = self._free_at + self._delay
        # a delay that was made shorter overtakes nothing
        self._frames.append((max(due, self._frames[-1][0]) if self._frames else due, frame))
        return True

    def due_at(self) -> float | None:
        """When the next frame is due; None where the pipe is empty."""
        return self._frames[0][0] if self._frames else None

    def pop(self, now: float) -> bytes | None:
        """The next frame, if it is due."""
        if self._frames and self._frames[0][0] <= now:
            return self._frames.popleft()[1]
        return None
