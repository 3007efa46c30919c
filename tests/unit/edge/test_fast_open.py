"""The fleet's Fast Open keys: what a file may hold."""

from pathlib import Path

import pytest

from edge.fast_open import read_keys


def test_one_key_or_two_are_read(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("00" * 16)
    assert read_keys(path) == bytes(16)
    path.write_text("ff" * 16 + "\n" + "00" * 16 + "\n")
    assert read_keys(path) == b"\xff" * 16 + bytes(16)


@pytest.mark.parametrize(
    "content", ["", "00" * 15, "00" * 17, "xy" * 16, "00" * 16 + "\n" + "00" * 8, "00 " * 3]
)
def test_anything_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(ValueError):
        read_keys(path)
