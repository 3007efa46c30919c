"""Index of host names: which owner a name belongs to. A look-up takes as many steps with one name as with 50,000."""

from typing import Generic, TypeVar

from smkex.http.semantics.authority import Authority

T = TypeVar("T")


class HostIndex(Generic[T]):
    """Owners of exact names and of wildcards.

    `*.example.org` stands for one label or more. An exact name precedes a wildcard, a longer wildcard a shorter one.
    """

    def __init__(self) -> None:
        self._exact: dict[str, T] = {}
        self._wildcards: dict[str, T] = {}

    def add_pattern(self, pattern: str, owner: T) -> None:
        """Add a canonical pattern."""
        self._names_of(pattern)[pattern.removeprefix("*.")] = owner

    def remove_pattern(self, pattern: str) -> None:
        """Remove a canonical pattern; does nothing if it has no owner."""
        self._names_of(pattern).pop(pattern.removeprefix("*."), None)

    def copy(self) -> "HostIndex[T]":
        """Return an index of its own with the same owners."""
        copied: HostIndex[T] = HostIndex()
        copied._exact, copied._wildcards = self._exact.copy(), self._wildcards.copy()
        return copied

    def find_pattern(self, pattern: str) -> T | None:
        """Return the owner of exactly this pattern."""
        return self._names_of(pattern).get(pattern.removeprefix("*."))

    def _names_of(self, pattern: str) -> dict[str, T]:
        return self._wildcards if pattern.startswith("*.") else self._exact

    def find_owner(self, host: str) -> T | None:
        """Return the owner of a canonical host name or address, None if there is none."""
        owner = self._exact.get(host)
        if owner is not None or not self._wildcards:
            return owner
        at = host.find(".")
        while at >= 0:  # a name has 127 labels at most
            owner = self._wildcards.get(host[at + 1 :])
            if owner is not None:
                return owner
            at = host.find(".", at + 1)
        return None

    def __len__(self) -> int:
        return len(self._exact) + len(self._wildcards)


def canonical_host(text: str) -> str:
    """Return the host of a Host field or a server name as the index has it; raises `ValueError`."""
    host = Authority.parse(text).host
    return host[1:-1] if host.startswith("[") else host
