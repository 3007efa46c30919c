"""What a session gives to protocols above it: a tag that both ends share, and secrets by label and context.

As TLS's exporters (RFC 8446 section 7.5, RFC 9266): a protocol that authenticates the tag, or uses an exported secret,
knows that its peer is the other end of this session, without an attacker between them.
"""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.wire.codec import length_prefixed

EXPORT_LIMIT = 255 * 32  # bytes (RFC 5869 section 2.3)


class SessionExporter:
    """Exports of one session, the same at both ends. `tag` (32 bytes) is no secret and differs in each session."""

    def __init__(self, keys: KeySchedule) -> None:
        self.tag = bytes(keys.root("session tag"))
        self._root = bytes(keys.root("exporter"))
        self._label = keys.label

    def export(self, label: str, context: bytes, length: int) -> bytes:
        """Return `length` secret bytes (1 to 8,160) for a protocol's `label` (ASCII) and `context`.

        Raises ValueError for another length or an empty label, UnicodeEncodeError for one that is not ASCII.
        """
        if not label or not 1 <= length <= EXPORT_LIMIT:
            raise ValueError(f"an export needs a label and a length of 1 to {EXPORT_LIMIT} bytes")
        info = self._label + b" export" + length_prefixed(label.encode("ascii"), context)
        return HKDFExpand(SHA256(), length, info).derive(self._root)

    def __repr__(self) -> str:
        return f"SessionExporter({self.tag.hex()})"
