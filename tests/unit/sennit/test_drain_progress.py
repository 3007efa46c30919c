"""`sennit edges drain --wait` says how far a drain has come, and ends when nothing is left."""

from datetime import UTC, datetime
from typing import Any

import pytest

from balancer.api.schemas import EdgeView
from runtime.errors import CommandError
from sennit import drain_progress


def edge(phase: str | None, sessions: int | None, admin: str = "draining", health: str = "up") -> EdgeView:
    lease = {
        "health": "ok",
        "reasons": [],
        "applied_generation": 1,
        "expires_in": 5,
        "announcing": False,
        "sessions": sessions,
        "drain": phase,
    }
    return EdgeView.model_validate(
        {
            "id": 1,
            "name": "edge1",
            "site": "a",
            "tunnel_v4": "10.255.0.1",
            "tunnel_v6": None,
            "weight": 1,
            "encapsulation": "ipip",
            "vip": "main",
            "admin_state": admin,
            "state": "draining",
            "health": {"state": health, "since": datetime.now(UTC), "reasons": []},
            "enrolled_at": datetime.now(UTC),
            "lease": lease if health == "up" else None,
        }
    )


class Control:
    def __init__(self, *views: EdgeView) -> None:
        self.views = list(views)

    async def edge(self, edge_id: int) -> EdgeView:
        return self.views.pop(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_progress, "POLL_INTERVAL", 0.0)


async def wait(*views: EdgeView) -> Any:
    control: Any = Control(*views)
    done = await drain_progress.wait_for_drain(control, 1)
    assert not control.views
    return done


async def test_each_change_is_said_once_until_no_session_is_left(capsys: Any) -> None:
    await wait(
        edge(None, 3), edge("re-homing", 3), edge("re-homing", 3), edge("withdrawn", 1), edge("withdrawn", 0)
    )
    assert capsys.readouterr().err.splitlines() == [
        "edge1: has not begun, 3 sessions left",
        "edge1: re-homing, 3 sessions left",
        "edge1: withdrawn, 1 sessions left",
        "edge1: withdrawn, 0 sessions left",
    ]


@pytest.mark.parametrize("last", [edge("over", 7), edge(None, None, health="down")])
async def test_the_deadline_and_a_dead_edge_end_it_too(last: EdgeView) -> None:
    await wait(edge("withdrawn", 9), last)


async def test_an_undrained_edge_is_an_error() -> None:
    with pytest.raises(CommandError, match="another operator ended the drain"):
        await wait(edge("re-homing", 3), edge(None, 3, admin="active"))
