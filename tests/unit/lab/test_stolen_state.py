"""A thief of a session's state: a step ends what it reads, and ends the session where it stands in the middle."""

import pytest

from lab.attack.stolen_state import AFTER, ATTACKS, BEFORE, ENDS, Bench, StateAttack, Thief, run_state_attack


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_each_attack_ends_as_the_table_says(attack: StateAttack) -> None:
    result = run_state_attack(attack)
    assert result.ok, result


def test_without_a_step_the_thief_reads_on() -> None:
    """So that the attacks could succeed."""
    bench = Bench(Thief)
    for end in bench.ends.values():
        end.write(AFTER)
    bench.run(1)
    bench.thief.try_everything(phases=(0,))
    assert bench.thief.read == [AFTER, AFTER]
    assert {bench.received(name) for name in ENDS} == {AFTER}
    assert BEFORE not in bench.thief.read
