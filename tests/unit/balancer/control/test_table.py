"""The forwarding table: one value whose generation goes up by one at each change."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from balancer.model.table import ForwardingTable


async def test_each_change_is_one_generation(api: Any) -> None:
    assert (await api.table())["generation"] == 1
    await api.enrol(1)
    await api.heartbeat(1)
    table = await api.table()
    assert table["generation"] == 3
    del table["signature"]
    assert ForwardingTable.from_json(table).to_json() == table


async def test_a_client_with_the_newest_table_gets_304(api: Any) -> None:
    fresh = await api.ask("GET", "/v1/table")
    again = await api.ask("GET", "/v1/table", headers={"If-None-Match": fresh.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_long_poll_ends_with_the_next_generation(api: Any) -> None:
    poll = asyncio.create_task(api.ask("GET", "/v1/table?wait=30", headers={"If-None-Match": '"1"'}))
    await asyncio.sleep(0)
    await api.enrol(1)
    answer = await asyncio.wait_for(poll, 10)
    assert (answer.status_code, answer.json()["generation"]) == (200, 2)


async def test_a_long_poll_ends_when_the_control_plane_does(api: Any) -> None:
    poll = asyncio.create_task(api.ask("GET", "/v1/table?wait=30", headers={"If-None-Match": '"1"'}))
    await asyncio.sleep(0)
    api.plane.watch.close()
    assert (await asyncio.wait_for(poll, 10)).status_code == 304


async def test_a_wait_without_end_is_refused(api: Any) -> None:
    answer = await api.ask("GET", "/v1/table?wait=3600")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "wait")


STEPS = st.lists(
    st.tuples(st.sampled_from(["enrol", "remove", "heartbeat", "drain", "silence"]), st.integers(1, 4)),
    max_size=12,
)


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_ids_are_never_held_twice_and_generations_follow_one_another(
    open_in: Any, vip: Any, steps: list[tuple[str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_walk(open_in(Path(folder)), vip, steps))


async def _walk(opening: Any, vip: Any, steps: list[tuple[str, int]]) -> None:
    given_ids: set[int] = set()
    async with opening as api:
        await api.ask("POST", "/v1/vips", vip)
        before = await api.table()
        for count, (step, number) in enumerate(steps, start=10):
            match step:
                case "enrol":
                    answer = await api.enrol(count)
                    edge_id = answer.json()["edge"]["id"]
                    assert edge_id not in given_ids, "an id came back within its quarantine"
                    given_ids.add(edge_id)
                case "remove":
                    await api.ask("DELETE", f"/v1/edges/{number}")
                case "heartbeat":
                    await api.heartbeat(number)
                case "drain":
                    await api.ask("PATCH", f"/v1/edges/{number}", {"admin_state": "draining"})
                case "silence":
                    await api.pass_time(11)
            after = await api.table()
            changed = {**after, "generation": 0} != {**before, "generation": 0}
            assert after["generation"] == before["generation"] + changed
            before = after
