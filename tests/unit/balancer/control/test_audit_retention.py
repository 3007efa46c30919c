"""The audit log is bounded: entries older than its retention are deleted, and nothing else is."""

from typing import Any

from sqlalchemy import func, select

from balancer.control.audit import retention
from balancer.control.storage.records import AuditRecord, TransitionRecord

DAY = 86_400


async def audited(api: Any) -> list[str]:
    items = (await api.ask("GET", "/v1/audit")).json()["items"]
    return [each["what"] for each in reversed(items)]


async def transitions(api: Any) -> int:
    async with api.plane.store.read() as session:
        return int(await session.scalar(select(func.count()).select_from(TransitionRecord)))


async def revision(api: Any) -> int:
    async with api.plane.store.change() as session:
        return int(session.info["revision"])


async def test_entries_go_when_they_are_older_than_the_retention_and_not_before(api: Any) -> None:
    await api.enrol(1)
    old = await audited(api)
    assert old[-1] == "edge.enrol"
    assert await transitions(api) == 1
    api.clock.seconds += 399 * DAY
    await api.ask("POST", "/v1/sites", {"name": "new"})
    await retention.prune(api.plane.store, api.plane.rules.audit_retention)
    assert await audited(api) == [*old, "site.add"]
    api.clock.seconds += 2 * DAY
    await retention.prune(api.plane.store, api.plane.rules.audit_retention)
    assert await audited(api) == ["site.add"]
    assert await transitions(api) == 0
    assert (await api.edge(1))["name"] == "edge1", "only its history is deleted"


async def test_where_nothing_is_old_nothing_is_written(api: Any) -> None:
    await api.enrol(1)
    before = await revision(api)
    await retention.prune(api.plane.store, api.plane.rules.audit_retention)
    assert await revision(api) == before + 1


async def test_a_start_drops_what_became_old_while_it_was_away(restartable: Any, vip: Any) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        await api.enrol(1)
        api.clock.seconds += 401 * DAY
        assert await audited(api)
    async with restartable() as api:
        assert await audited(api) == []
        async with api.plane.store.read() as session:
            assert await session.scalar(select(func.count()).select_from(AuditRecord)) == 0
