"""The table of attacks says where it was not as expected."""

from dataclasses import replace

import pytest

from lab.attack.cells import AttackOutcome, Powers, Row, attacks_on
from lab.attack.report import format_tables
from lab.attack.run import Result

GOOD = Result(
    "opportunistic", "own shares", "A on one", "detected", "BindingMismatch", "PeerAborted", "detected", True
)


def test_all_as_expected() -> None:
    assert format_tables([GOOD]).endswith("attack: passed")
    assert "FAILED" not in format_tables([GOOD])


def test_a_cell_that_differs_is_marked_in_both_tables() -> None:
    shown = format_tables([GOOD, replace(GOOD, outcome="not detected", ok=False)])
    assert "detected or not detected (FAILED)" in shown
    assert "FAILED: detected" in shown
    assert shown.endswith("attack: FAILED, 1 of 2")


def test_no_result_is_no_success() -> None:
    assert "passed" not in format_tables([])


@pytest.mark.parametrize("row", Row)
def test_every_column_is_attacked_and_only_two_in_step_may_succeed(row: Row) -> None:
    assert {attack.powers for attack in attacks_on(row)} == set(Powers)
    for attack in attacks_on(row):
        assert (attack.expected is AttackOutcome.DETECTED) == bool(attack.errors)
        assert attack.talk == (attack.powers in (Powers.A_P, Powers.P_A, Powers.TOGETHER))
        if attack.expected is AttackOutcome.NOT_DETECTED:
            assert attack.powers is Powers.TOGETHER
            assert row not in (Row.KEY_KNOWN, Row.AUTHENTIC)
