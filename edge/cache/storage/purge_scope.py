"""What one purge removes from the store, or makes stale."""

from dataclasses import dataclass

KEY_END = "\x7f"  # behind every key: keys are printable ASCII


@dataclass(frozen=True, slots=True)
class PurgeScope:
    """URLs and tags, and half-open ranges of keys. With `soft_at` they are not removed, but stale since then."""

    urls: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    ranges: tuple[tuple[str, str], ...] = ()
    soft_at: float | None = None

    @property
    def covers_unknown(self) -> bool:
        """Whether a running fetch may be in the scope without its URL being named."""
        return bool(self.tags or self.ranges)


def range_from(prefix: str) -> tuple[str, str]:
    """Return the range of all keys that begin with `prefix`."""
    return prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else KEY_END
