"""Early hints (RFC 8297): the origin's 103 on its way to the client whose request it answers, and to no other."""

from collections.abc import Callable
from contextvars import ContextVar

from smkex.http.connection import Headers

EARLY_HINTS = 103
SendHints = Callable[[Headers], None]

# of the request that the current task serves; tasks that it starts have it too
hints_receiver: ContextVar[SendHints | None] = ContextVar("hints_receiver", default=None)
