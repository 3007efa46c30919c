"""The progress bar fits the terminal, and says how much, how fast and how long yet."""

import io
import itertools

import pytest

from sennit import progress
from sennit.progress import ProgressBar, format_duration, format_line, format_size


def test_a_line_says_how_much_how_fast_and_how_long_yet() -> None:
    shown = format_line("sample.bin", 25_000_000, 100_000_000, 12_500_000, 100)
    assert shown.startswith("sample.bin  [====")
    assert shown.endswith("]   25 %  25.0 MB of 100.0 MB     100 Mbit/s   0:06 left")
    assert len(shown) <= 100


@pytest.mark.parametrize("width", [0, 10, 40, 79, 200])
@pytest.mark.parametrize("total", [None, 0, 7, 10**10])
def test_it_never_is_wider_than_the_terminal(width: int, total: int | None) -> None:
    for rate in (None, 0.0, 1.0, 1e9):
        assert len(format_line("n" * 30, 7, total, rate, width)) <= width


def test_times_and_sizes_read_well() -> None:
    assert [format_duration(s) for s in (0.4, 59.6, 3599, 3600)] == ["0:00", "1:00", "59:59", "1:00:00"]
    assert [format_size(n) for n in (0, 1_500_000, 2_340_000_000)] == ["0.0 MB", "1.5 MB", "2.34 GB"]


def test_the_rate_is_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(100.0, 1.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks))
    output = io.StringIO()
    bar = ProgressBar("x", output)
    for so_far in (0, 1, 2, 3, 10_000_003, 20_000_003, 30_000_003):
        bar.update(so_far, 10**9)
    assert "80 Mbit/s" in output.getvalue().rsplit("\r", 1)[1]
    bar.clear()
    assert output.getvalue().endswith("\r\x1b[K")
