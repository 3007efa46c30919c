"""A request that the fast path answered: a tuple, since it is made for each."""

from dataclasses import dataclass, field

from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.figures import ServiceFigures


@dataclass(slots=True, eq=False)
class FastRequest:
    """What the log has of a request's head, which clients repeat; `fragment` is it as text."""

    host: str
    target: str
    user_agent: str
    referer: str
    figures: ServiceFigures
    revision: int = 0
    method: str = "GET"
    fragment: str = field(default="", repr=False)

    @property
    def service(self) -> str:
        return self.figures.name


# seconds since the epoch, request id, connection, request, status, bytes of the body, seconds until it is stale
FastHit = tuple[float, bytes, ConnectionFacts, FastRequest, int, int, int]
