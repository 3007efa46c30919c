"""What this cache did with a request, for the field Cache-Status (RFC 9211)."""

from dataclasses import dataclass


@dataclass(slots=True)
class CacheStatus:
    """One member of the field. `forward` and `hit` exclude each other (section 2.1)."""

    hit: bool = False
    forward: str = ""  # bypass, method, uri-miss, vary-miss, miss, request, stale, partial
    forward_status: int | None = None
    ttl: int | None = None
    stored: bool = False
    collapsed: bool = False
    detail: str = ""

    def value(self, cache: str) -> str:
        """As it is written in the field; `cache` is this cache's name, a token."""
        parts = [cache]
        if self.hit:
            parts.append("hit")
        elif self.forward:
            parts.append(f"fwd={self.forward}")
            if self.forward_status is not None:
                parts.append(f"fwd-status={self.forward_status}")
        if self.ttl is not None:
            parts.append(f"ttl={self.ttl}")
        if self.stored:
            parts.append("stored")
        if self.collapsed:
            parts.append("collapsed")
        if self.detail:
            parts.append(f"detail={self.detail}")
        return "; ".join(parts)
