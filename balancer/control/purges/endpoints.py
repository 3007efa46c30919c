"""`/v1/purges`. Answers to heartbeats name the newest id; agents fetch missing ones within seconds."""

from fastapi import APIRouter

from balancer.api.numbers import epoch_of, next_number
from balancer.api.purges import PurgePage, PurgeRequest, PurgeView
from balancer.control.audit import service as audit
from balancer.control.authentication.dependencies import Anyone, Operator
from balancer.control.http.paging import After, Limit
from balancer.control.http.parts import NewestPart, StorePart
from balancer.control.http.problems import refusal_responses
from balancer.control.purges import repository
from balancer.control.storage.records import PurgeRecord
from balancer.control.table.watch import WatchPart

router = APIRouter(prefix="/v1/purges", tags=["purges"])
PURGES_KEPT = 1000


@router.post("", status_code=201, responses=refusal_responses(401, 403))
async def purge(
    store: StorePart, newest: NewestPart, watch: WatchPart, by: Operator, body: PurgeRequest
) -> PurgeView:
    """Drop a URL, or everything with a tag, from the caches of all edges: at each with its next heartbeat."""
    now = store.now()
    record = PurgeRecord(at=now, url=body.url, tag=body.tag)
    async with store.change() as session:
        record.id = next_number(await repository.newest_id(session), epoch_of(watch.generation))
        session.add(record)
        await session.flush()
        await repository.drop_oldest(session, PURGES_KEPT)
        what = f"tag {body.tag}" if body.tag else str(body.url)
        audit.record_change(session, now, by.because(body.reason), "purge", what)
    newest.purge = max(newest.purge, record.id)
    return _purge_view(record)


@router.get("", responses=refusal_responses(401, 410))
async def list_purges(store: StorePart, _: Anyone, after: After = 0, limit: Limit = 1000) -> PurgePage:
    """List the newest thousand purges by id, a page at a time."""
    async with store.read() as session:
        found = await repository.list_purges(session, after, limit + 1)
    following = found[limit - 1].id if len(found) > limit else None
    return PurgePage(items=[_purge_view(each) for each in found[:limit]], next=following)


def _purge_view(record: PurgeRecord) -> PurgeView:
    return PurgeView(id=record.id, url=record.url, tag=record.tag, at=record.at)
