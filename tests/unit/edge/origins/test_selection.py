"""Which origin of a group: shares by weight, evenly in time, and keys that stay where they are."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from edge.origins.selection import HashedUrl, WeightedTurns, rendezvous_score

KEYS = [f"www.example /{number}" for number in range(4_000)]


@dataclass(frozen=True)
class Choice:
    name: str
    weight: int


choices = st.lists(st.integers(1, 1000), min_size=1, max_size=8).map(
    lambda weights: [Choice(f"origin{number}", weight) for number, weight in enumerate(weights)]
)


@given(choices, st.integers(0, 2**32))
def test_each_has_its_share_of_any_number_of_turns(origins: list[Choice], seed: int) -> None:
    turns, total = WeightedTurns(seed), sum(each.weight for each in origins)
    counted: Counter[str] = Counter()
    for turn in range(1, 200):
        counted[turns.choose(origins, "").name] += 1
        assert all(abs(counted[each.name] - turn * each.weight / total) < len(origins) for each in origins)


@given(choices, st.integers(0, 2**32))
def test_equal_seeds_give_equal_turns(origins: list[Choice], seed: int) -> None:
    one, other = WeightedTurns(seed), WeightedTurns(seed)
    assert [one.choose(origins, "") for _ in range(50)] == [other.choose(origins, "") for _ in range(50)]


def test_turns_do_not_all_begin_with_the_same_origin() -> None:
    origins = [Choice("a", 1), Choice("b", 1)]
    assert {WeightedTurns(seed).choose(origins, "").name for seed in range(20)} == {"a", "b"}


def test_an_origin_that_returns_does_not_make_up_for_what_it_missed() -> None:
    a, b = Choice("a", 1), Choice("b", 1)
    turns = WeightedTurns()
    for _ in range(100):
        turns.choose([a], "")
    assert abs(Counter(turns.choose([a, b], "").name for _ in range(20))["b"] - 10) <= 1


@given(choices)
def test_the_hash_gives_each_its_share_of_the_keys(origins: list[Choice]) -> None:
    total = sum(each.weight for each in origins)
    counted = Counter(HashedUrl().choose(origins, key).name for key in KEYS[:1000])
    assert all(abs(counted[each.name] / 1000 - each.weight / total) < 0.08 for each in origins)


@given(choices.filter(lambda origins: len(origins) > 1), st.data())
def test_an_origin_that_leaves_moves_only_its_own_keys(origins: list[Choice], data: st.DataObject) -> None:
    left = data.draw(st.sampled_from(origins))
    others = [each for each in origins if each is not left]
    for key in KEYS[:200]:
        before = HashedUrl().choose(origins, key)
        assert before is left or HashedUrl().choose(others, key) is before


def test_a_score_is_finite_for_every_key() -> None:
    assert all(0 < rendezvous_score("a", 1, key) < 1e16 for key in KEYS)
