"""`sennit edges list` compares what forwarders have applied with the newest generation."""

import pytest

from sennit.commands.fleet.edges import describe_applied

EPOCH = 29_733_120 << 27


@pytest.mark.parametrize(
    ("applied", "newest", "shown"),
    [
        (None, 12, "-"),
        (12, 12, "12"),
        (9, 12, "9 (3 behind)"),
        (17, 12, "17 (unknown: newest is 12)"),
        (17, EPOCH + 1, "17 (older epoch)"),
        (EPOCH + 1, EPOCH + 3, "1@29733120 (2 behind)"),
        (EPOCH + 1, 12, "1@29733120 (unknown: newest is 12)"),
    ],
)
def test_an_applied_generation_is_compared_with_the_newest(
    applied: int | None, newest: int, shown: str
) -> None:
    assert describe_applied(applied, newest) == shown
