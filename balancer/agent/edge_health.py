"""Ask the edge of this node how it is, at its unix socket."""

from dataclasses import dataclass
from pathlib import Path

import httpx

from balancer.api.schemas import Health

_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class EdgeHealth:
    """What the edge said, or why it said nothing."""

    status: Health
    reasons: tuple[str, ...] = ()


async def ask(socket: Path) -> EdgeHealth:
    """Ask once. Nobody listening is `down`; an answer that makes no sense, or none in time, is `degraded`."""
    try:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket))) as client:
            body = (await client.get("http://edge/health", timeout=_TIMEOUT)).json()
        status, reasons = Health(body["status"]), tuple(str(each)[:200] for each in body["reasons"][:16])
    except httpx.ConnectError:
        return EdgeHealth(Health.DOWN, ("the edge does not listen",))
    except httpx.HTTPError as error:
        return EdgeHealth(Health.DEGRADED, (f"the edge gives no answer: {type(error).__name__}",))
    except (ValueError, KeyError, TypeError):
        return EdgeHealth(Health.DEGRADED, ("the edge's answer makes no sense",))
    return EdgeHealth(status, reasons)
