"""How many edges must go on announcing, whatever soft failures they have. Pure.

A soft failure (the origin, a probe, a version) may be the fleet's own fault and hit all edges at once. So an edge may
withdraw for one only while enough others without one announce; if no edge is well, all keep announcing.
"""

import math
from dataclasses import dataclass

EPSILON = 1e-9  # 2/3 of 3 is 2, not 3


@dataclass(frozen=True, slots=True)
class Standing:
    """An edge as the budget counts it: the holder of a grant does not announce. `well`: no soft failure."""

    edge_id: int
    active: bool
    announcing: bool
    well: bool


def minimum_announcing(share: float, active: int) -> int:
    """Return how many active edges must announce; at least one if there is any."""
    return min(active, max(1, math.ceil(share * active - EPSILON)))


def may_withdraw(edge_id: int, fleet: list[Standing], share: float, *, announcing: bool) -> bool:
    """Return whether enough others remain: well ones if this edge announces, announcing ones if it does not.

    So a failure that reaches others later does not bring back an edge that also fails.
    """
    active = sum(each.active for each in fleet)
    others = [each for each in fleet if each.edge_id != edge_id and each.active and each.announcing]
    return sum(each.well or not announcing for each in others) >= minimum_announcing(share, active)
