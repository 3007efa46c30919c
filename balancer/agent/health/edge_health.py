"""Ask the edge of this node how it is, at its unix socket."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from balancer.api.schemas import Health

_TIMEOUT = 1.5
HANGS_AFTER = 3.0  # seconds without any answer: longer than a busy event loop ever is away


@dataclass(frozen=True, slots=True)
class EdgeAnswer:
    """What the edge said, or why it said nothing. `silent`: it listens, and did not answer in time.

    `at_service_port`: of the sessions, those with a subflow at the service port; None where it does not say.
    """

    status: Health
    reasons: tuple[str, ...] = ()
    sessions: int | None = None
    at_service_port: int | None = None
    silent: bool = False


async def ask(client: httpx.AsyncClient) -> EdgeAnswer:
    """Ask once. Nobody listening is `down`; an answer that makes no sense, or none in time, is `degraded`."""
    try:
        body = (await client.get("http://edge/health", timeout=_TIMEOUT)).json()
        status, reasons = Health(body["status"]), tuple(str(each)[:200] for each in body["reasons"][:16])
        sessions, at_service_port = map(_count, (body.get("sessions"), body.get("sessions_at_service_port")))
    except httpx.ConnectError:
        return EdgeAnswer(Health.DOWN, ("edge: nobody listens",))
    except httpx.HTTPError as error:
        return EdgeAnswer(Health.DEGRADED, (f"edge: no answer ({type(error).__name__})",), silent=True)
    except (ValueError, KeyError, TypeError):
        return EdgeAnswer(Health.DEGRADED, ("edge: its answer makes no sense",))
    if status is not Health.OK and not reasons:
        reasons = (f"edge: {status.value}",)
    return EdgeAnswer(status, reasons, sessions, at_service_port)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


class EdgeWatch:
    """Ask again and again: an edge that hangs is as good as dead, one that is late once is not."""

    def __init__(self, socket: Path) -> None:
        # one for good: each new client reads all certificates of the system, though none is needed here
        self._client = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket)))
        self._silent_since: float | None = None
        self._at_service_port: int | None = None

    async def look(self, now: float) -> EdgeAnswer:
        """Ask once; `now` is when this begins."""
        answer = await ask(self._client)
        if not answer.silent:
            self._silent_since, self._at_service_port = None, answer.at_service_port
            return answer
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since < HANGS_AFTER:
            return replace(answer, at_service_port=self._at_service_port)
        return EdgeAnswer(Health.DOWN, (f"edge: no answer for {HANGS_AFTER:g} s",), silent=True)
