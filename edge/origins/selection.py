"""Choose an origin of a group: by weights in turn, or by the hash of the URL."""

import math
import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol, TypeVar


class Weighted(Protocol):
    """What is chosen from: a name, unique in its group, and a weight."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> int: ...


T = TypeVar("T", bound=Weighted)


class WeightedTurns:
    """Stride scheduling: each is chosen in proportion to its weight, and as evenly as that allows.

    `seed` sets where the turns begin, so that workers and edges do not all begin with the same origin; equal seeds give
    equal turns. One that was away for a while takes its turn, and does not make up for those it missed.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 (spreads load)
        self._due: dict[str, float] = {}
        self._now = 0.0

    def choose(self, candidates: Sequence[T], key: str) -> T:
        """Choose one of `candidates`, which are not empty."""
        chosen = min(candidates, key=self._due_of)
        self._now = self._due_of(chosen)
        self._due[chosen.name] = self._now + 1 / chosen.weight
        return chosen

    def _due_of(self, each: Weighted) -> float:
        due = self._due.get(each.name)
        if due is None:
            due = self._due[each.name] = self._now + self._random.random() / each.weight
        return max(due, self._now)


class HashedUrl:
    """Weighted rendezvous hashing: a key has its own order of all origins, and the first of them that is there.

    An origin that leaves moves only its own keys, in proportion to the weights of the others.
    """

    def choose(self, candidates: Sequence[T], key: str) -> T:
        """Choose one of `candidates`, which are not empty."""
        return max(candidates, key=lambda each: rendezvous_score(each.name, each.weight, key))


def rendezvous_score(name: str, weight: int, key: str) -> float:
    """Return the score of `name` for `key`: the highest of all wins with a probability of its share of the weights."""
    digest = blake2b(f"{name} {key}".encode(), digest_size=8).digest()
    # 52 bits: neither 0 nor 1 once divided
    return -weight / math.log(((int.from_bytes(digest) >> 12) + 0.5) / 2**52)
