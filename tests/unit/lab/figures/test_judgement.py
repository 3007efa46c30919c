"""Figures are drawn and judged from rows, as they stand in the CSV files."""

from pathlib import Path
from typing import Any

import pytest

from lab.figures import injection, setup_time, throughput, transfer_time
from lab.figures.run import FIGURES, load_figure
from lab.figures.table import Rows, read_table, write_table
from lab.scenarios.verdict import Verdict

PNG = b"\x89PNG\r\n\x1a\n"


def setup_rows(smkex: float) -> list[dict[str, Any]]:
    return [
        {"contender": name, "sample": n, "seconds": base + n * 1e-6, "round_trip": 0.0002}
        for name, base in zip(setup_time.CONTENDERS, (0.0005, 0.0012, smkex, 0.0015, 0.01), strict=True)
        for n in range(20)
    ]


def transfer_rows(first: float) -> list[dict[str, Any]]:
    setups = dict(zip(transfer_time.CONTENDERS, (1.0, first, 0.29, 0.285), strict=True)) | {"TLS 1.3": 0.01}
    return [
        {"contender": name, "size": size, "sample": n, "setup": setup, "total": setup + 0.01, "owner": 1}
        for size in transfer_time.SIZES
        for name, setup in setups.items()
        for n in range(3)
    ]


def rate_rows(ours: float, slow: float = 0.99) -> list[dict[str, Any]]:
    rates = dict(zip(throughput.CONTENDERS.values(), (5.0, 1.0, ours, 9.0, 2.0, ours), strict=True))
    slow_rates = {"raw MPTCP": 0.2, "SMKEX over mptcp": 0.2 * slow}
    return [
        {"links": links, "contender": name, "sample": n, "seconds": 1.0, "gbit_per_second": rate + n / 1000}
        for links, by_name in ((throughput.PLAIN_LINKS, rates), (throughput.SLOW_LINKS, slow_rates))
        for name, rate in by_name.items()
        for n in range(3)
    ]


def attack_rows(
    *, stall: float = 0.05, survives: str = injection.COMPLETE, tls: int = 500
) -> list[dict[str, Any]]:
    def points(name: str, *parts: tuple[float, int, str]) -> list[dict[str, Any]]:
        return [
            {"contender": name, "size": 1000, "seconds": t, "delivered": n, "event": e} for t, n, e in parts
        ]

    flip = (0.45, 450, injection.FLIPPED)
    return [
        *points("SMKEX over tcp", (0, 0, ""), (0.44, 440, ""), flip, (0.46, 460, ""), (0.46 + stall, 600, ""),
                (0.5 + stall, 1000, survives)),
        *points("TLS 1.3 over MPTCP", (0, 0, ""), (0.44, 440, ""), flip, (0.46, tls, "SSLError")),
    ]  # fmt: skip


def judged(module: Any, rows: list[dict[str, Any]], folder: Path) -> Verdict:
    write_table(folder / "rows.csv", rows)
    verdict = Verdict("figure", "test")
    module.check_targets(read_table(folder / "rows.csv"), verdict)
    return verdict


@pytest.mark.parametrize(
    ("module", "good", "bad"),
    [
        (setup_time, setup_rows(0.0009), setup_rows(0.0011)),
        (transfer_time, transfer_rows(0.58), transfer_rows(0.60)),
        (throughput, rate_rows(1.1), rate_rows(0.9)),
        (throughput, rate_rows(1.1), rate_rows(1.1, slow=0.95)),
        (injection, attack_rows(), attack_rows(stall=0.09)),
        (injection, attack_rows(), attack_rows(survives="BadRecord")),
        (injection, attack_rows(), attack_rows(tls=1000)),
    ],
)
def test_what_misses_its_target_fails(module: Any, good: list[Any], bad: list[Any], tmp_path: Path) -> None:
    assert judged(module, good, tmp_path).ok
    assert not judged(module, bad, tmp_path).ok


def test_the_stall_is_the_longest_pause_after_the_flip_and_none_before_it(tmp_path: Path) -> None:
    write_table(tmp_path / "rows.csv", attack_rows(stall=0.07))
    points: Rows = [row for row in read_table(tmp_path / "rows.csv") if row["contender"] == "SMKEX over tcp"]
    assert injection.longest_stall(points) == pytest.approx(0.07)  # and not the 0.44 s before


@pytest.mark.parametrize(
    ("number", "rows"),
    [("13", setup_rows(0.001)), ("14", transfer_rows(0.58)), ("8", rate_rows(2.0)), ("9", attack_rows())],
)
def test_every_figure_is_drawn_the_same_from_the_same_rows(
    number: str, rows: list[Any], tmp_path: Path
) -> None:
    write_table(tmp_path / "rows.csv", rows)
    pictures = []
    for _ in range(2):
        load_figure(number).draw_figure(read_table(tmp_path / "rows.csv"), tmp_path / "figure.png")
        pictures.append((tmp_path / "figure.png").read_bytes())
    assert pictures[0].startswith(PNG)
    assert pictures[0] == pictures[1]


def test_figures_go_by_the_papers_numbers() -> None:
    assert set(FIGURES) == {"13", "14", "8", "9"}
