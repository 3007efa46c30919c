"""The caller of a request, and the hash by which its token is stored."""

import hashlib
from dataclasses import dataclass, replace

from balancer.api.access import Role

_RANK = {Role.READ: 0, Role.OPERATE: 1, Role.ADMIN: 2}


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a token, with `why`, a change's reason. An edge's token is valid for its own id only."""

    role: Role
    name: str
    edge_id: int | None = None
    by_cookie: bool = False
    why: str = ""

    def because(self, why: str) -> "Caller":
        """Return the same caller with the reason of the body, if there is one."""
        return replace(self, why=why) if why else self

    def may(self, role: Role) -> bool:
        """Return whether the caller has at least this role."""
        return self.role is not Role.EDGE and _RANK[self.role] >= _RANK[role]


def sha256_hex(token: str) -> str:
    """Hash a token as it is stored. Tokens are random and long, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()
