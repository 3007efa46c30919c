"""What differs between two documents, field by field."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One field, before and after; None is: not there."""

    field: str
    before: Any
    after: Any


def compare_documents(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """Yield the differences. Lists of objects that have names, such as origins, are compared by name."""
    if before == after and type(before) is type(after):
        return
    keyed = _by_key(before), _by_key(after)
    if keyed[0] is None or keyed[1] is None:
        yield Difference(path, before, after)
        return
    for key in dict.fromkeys((*keyed[0], *keyed[1])):
        below = f"{path}{key}" if key.startswith("[") else f"{path}.{key}".removeprefix(".")
        yield from compare_documents(keyed[0].get(key), keyed[1].get(key), below)


def _by_key(value: Any) -> dict[str, Any] | None:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        names = [item.get("name") for item in value]
        if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
            return {f"[{name}]": item for name, item in zip(names, value, strict=True)}
        return {f"[{number}]": item for number, item in enumerate(value)}
    return None
