"""Codec for the elements of messages: big-endian integers and length-prefixed bytes."""

from smkex.core.errors import MalformedMessage


class Reader:
    """Read the elements of a message in order; reading past its end raises `MalformedMessage`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """Read exactly `count` bytes."""
        end = self._at + count
        if end > len(self._data):
            raise MalformedMessage("a message ends in the middle of a field")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "big")

    def vec8(self) -> bytes:
        return self.take(self.u8())

    def vec16(self) -> bytes:
        return self.take(self.u16())

    def rest(self) -> bytes:
        """Read the remaining bytes."""
        return self.take(len(self._data) - self._at)

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    def finish(self) -> None:
        """Reject trailing bytes."""
        if not self.at_end:
            raise MalformedMessage("a message has trailing bytes")


def u8(value: int) -> bytes:
    return value.to_bytes(1, "big")


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def vec8(value: bytes) -> bytes:
    return u8(len(value)) + value


def vec16(value: bytes) -> bytes:
    return u16(len(value)) + value


def length_prefixed(*parts: bytes) -> bytes:
    """Join `parts`, each after its length as four bytes: distinct lists give distinct strings."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
