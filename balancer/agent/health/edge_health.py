"""Read the health of this node's edge at its unix socket."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from balancer.agent.bounded_answer import NoAnswer, NotListening, fetch_object
from balancer.api.numbers import LARGEST_NUMBER
from balancer.api.schemas import Health

_TIMEOUT = 1.5
BODY_LIMIT = 16 << 20  # bytes: an answer has some 350 for each service that was asked for
# seconds without any answer: longer than a busy event loop blocks
HANGS_AFTER = 3.0


@dataclass(frozen=True, slots=True)
class EdgeAnswer:
    """The edge's answer, or why there is none. `silent`: it listens, and did not answer in time.

    `at_service_port`: of the sessions, those with a subflow at the service port; None where it does not say.
    """

    status: Health
    reasons: tuple[str, ...] = ()
    sessions: int | None = None
    at_service_port: int | None = None
    silent: bool = False
    figures: Mapping[str, Any] = field(default_factory=dict)  # counts by service
    origins: Mapping[str, Any] = field(default_factory=dict)  # what is known of the services' origins


async def fetch_health(socket: Path) -> EdgeAnswer:
    """Ask once. No listener is `down`; an invalid answer, or none in time, is `degraded`."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            body = await fetch_object("http://edge/health", BODY_LIMIT, socket)
        said = body["reasons"]
        if not isinstance(said, list):
            raise TypeError("reasons: not a list")
        status, reasons = Health(body["status"]), tuple(str(each)[:200] for each in said[:16])
        sessions, at_service_port = map(
            _valid_count, (body.get("sessions"), body.get("sessions_at_service_port"))
        )
    except NotListening:
        return EdgeAnswer(Health.DOWN, ("edge: not listening",))
    except (NoAnswer, TimeoutError) as error:
        return EdgeAnswer(Health.DEGRADED, (f"edge: no answer ({type(error).__name__})",), silent=True)
    except (ValueError, KeyError, TypeError):
        return EdgeAnswer(Health.DEGRADED, ("edge: invalid answer",))
    if status is not Health.OK and not reasons:
        reasons = (f"edge: {status.value}",)
    return EdgeAnswer(
        status,
        reasons,
        sessions,
        at_service_port,
        figures=_valid_object(body.get("figures")),
        origins=_valid_object(body.get("origins")),
    )


def _valid_object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _valid_count(value: Any) -> int | None:
    plain = isinstance(value, int) and not isinstance(value, bool)
    return value if plain and 0 <= value <= LARGEST_NUMBER else None


class EdgeMonitor:
    """Repeated checks: an edge that hangs counts as down, one that is late once does not."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._silent_since: float | None = None
        self._at_service_port: int | None = None

    async def check_edge(self, now: float) -> EdgeAnswer:
        """Ask once; `now` is when this begins."""
        answer = await fetch_health(self._socket)
        if not answer.silent:
            self._silent_since, self._at_service_port = None, answer.at_service_port
            return answer
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since < HANGS_AFTER:
            return replace(answer, at_service_port=self._at_service_port)
        return EdgeAnswer(Health.DOWN, (f"edge: no answer for {HANGS_AFTER:g} s",), silent=True)
