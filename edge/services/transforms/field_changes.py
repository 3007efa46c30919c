"""Header fields set, added and removed, in the order of the rules."""

from collections.abc import Sequence

from edge.http.fields import Pairs
from services.transforms import FieldAction, FieldRule


class FieldChanges:
    """Compiled rules; false where there are none."""

    def __init__(self, rules: Sequence[FieldRule]) -> None:
        self._rules = [(rule.action, rule.name, rule.value) for rule in rules]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def change_fields(self, pairs: Pairs) -> Pairs:
        """Return other pairs; names are in lower case."""
        for action, name, value in self._rules:
            if action is not FieldAction.ADD:
                pairs = [pair for pair in pairs if pair[0] != name]
            if action is not FieldAction.REMOVE:
                pairs = [*pairs, (name, value)]
        return pairs
