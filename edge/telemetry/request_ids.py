"""Request ids: 32 hexadecimal digits of the system's random source, one for each request."""

import os

ID_BYTES = 16
_BLOCK_IDS = 256  # ids that are drawn at once: a system call for each would cost more than the rest


class RequestIds:
    """An endless supply of request ids."""

    __slots__ = ("_at", "_block")

    def __init__(self) -> None:
        self._block = b""
        self._at = 0

    def next_id(self) -> bytes:
        """Return an id that was not returned before."""
        at = self._at
        if at == len(self._block):
            self._block, at = os.urandom(ID_BYTES * _BLOCK_IDS).hex().encode("ascii"), 0
        self._at = at + 2 * ID_BYTES
        return self._block[at : self._at]
