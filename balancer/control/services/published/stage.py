"""A stage of a rollout: which edges have the new revision."""

import hashlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stage:
    """The edges of a site, or a share of all. A larger share has all edges of a smaller one."""

    site: str | None = None
    share: float | None = None

    def includes(self, service: str, edge_id: int, site: str) -> bool:
        """Return whether an edge is in it. Each service draws other edges."""
        if self.site is not None:
            return site == self.site
        return _draw_lot(service, edge_id) < (self.share or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Return what is stored."""
        return {"site": self.site, "share": self.share}

    def __str__(self) -> str:
        return f"site {self.site}" if self.site is not None else f"{(self.share or 0.0):.0%} of all edges"


def _draw_lot(service: str, edge_id: int) -> float:
    """Return a number below 1, always the same for this service and edge."""
    digest = hashlib.sha256(f"{service} {edge_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
