"""fast-open.keys: the fleet's TCP Fast Open keys, newest first, one of 32 hexadecimal digits a line."""

from collections.abc import Sequence
from pathlib import Path

from node.state.catalogue import FAST_OPEN_KEYS

KEY_SIZE = 16
KEYS_LIMIT = 2  # the one that makes cookies, and the one before it, whose cookies still count


def parse_keys(text: str) -> tuple[bytes, ...]:
    """Return one or two keys of 16 bytes; raises `ValueError`."""
    keys = tuple(bytes.fromhex(line) for line in text.split())
    if not 1 <= len(keys) <= KEYS_LIMIT or any(len(key) != KEY_SIZE for key in keys):
        raise ValueError("one or two lines of 32 hexadecimal digits are expected")
    return keys


def write_keys(state: Path, keys: Sequence[str]) -> None:
    """Hand the edge the keys; leave a file alone that already holds them."""
    text = "".join(f"{key}\n" for key in keys)
    try:
        if FAST_OPEN_KEYS.read_text(state) == text:
            return
    except (OSError, ValueError):
        pass
    FAST_OPEN_KEYS.write_text(state, text)
