"""`/v1/purges`. Agents wait for the next one by long polls, and their next heartbeat says what the edge has applied."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.numbers import epoch_of, next_number
from balancer.api.purges import PurgePage, PurgeProgress, PurgeRequest, PurgeView
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.authentication.dependencies import Anyone, Operator, Reader
from balancer.control.authentication.edge_route import EdgeRoute
from balancer.control.http.paging import After, Limit
from balancer.control.http.parts import NewestPart, StorePart, find_part
from balancer.control.http.plain_query import PlainQuery
from balancer.control.http.problems import Refusal, refusal_responses, success_response
from balancer.control.purges import repository
from balancer.control.purges.watch import PURGES_KEPT, PurgeWatch, PurgeWatchPart
from balancer.control.storage.records import PurgeRecord
from balancer.control.table.watch import WatchPart
from smkex.http.semantics.targets import parse_url

router = APIRouter(prefix="/v1/purges", tags=["purges"])
polls = APIRouter(prefix="/v1/purges", tags=["purges"])
LONGEST_WAIT = 60.0
Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for a newer one.")]
PAGE_QUERY = PlainQuery(after=After, limit=Limit, wait=Wait)
WaitDone = Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for all edges.")]


@router.post("", status_code=201, responses=refusal_responses(401, 403, 422))
async def purge(
    store: StorePart,
    newest: NewestPart,
    watch: WatchPart,
    purges: PurgeWatchPart,
    by: Operator,
    body: PurgeRequest,
) -> PurgeView:
    """Drop a URL, or everything with a tag, below a prefix, of a host, a service or all, from all edges' caches."""
    now = store.now()
    record = PurgeRecord(at=now, **body.model_dump(exclude={"reason"}))
    async with store.change() as session:
        await _check_scope(session, body)
        record.id = next_number(await repository.newest_id(session), epoch_of(watch.generation))
        session.add(record)
        await session.flush()
        await repository.drop_oldest(session, PURGES_KEPT)
        audit.record_change(session, now, by.because(body.reason), "purge", body.describe())
        fresh = await repository.list_purges(session, purges.newest, PURGES_KEPT)  # also other instances'
    purges.add_purges(map(purge_view, fresh))
    newest.purge = max(newest.purge, record.id)
    return purge_view(record)


async def list_purges(
    purges: PurgeWatchPart, _: Anyone, after: After = 0, limit: Limit = 1000, wait: Wait = 0
) -> Response:
    """List the newest thousand purges by id, a page at a time; `wait` for one where there is none behind `after`."""
    await purges.wait_beyond(after, wait)
    headers = {"Cache-Control": "no-store"}
    return Response(purges.page(after, limit), media_type="application/json", headers=headers)


class PurgesRoute(EdgeRoute):
    """Answers the long polls of edges."""

    async def answer_edge(self, request: Request, edge: Caller) -> Response | None:
        query = PAGE_QUERY.parse(request.scope["query_string"])
        return None if query is None else await list_purges(find_part(request.app, PurgeWatch), edge, **query)


polls.add_api_route(
    "",
    list_purges,
    responses=success_response(200, PurgePage, "Purges.") | refusal_responses(401, 410),
    route_class_override=PurgesRoute,
)


@router.get("/{purge_id}/progress", responses=refusal_responses(401, 403, 404))
async def show_progress(
    purges: PurgeWatchPart, _: Reader, purge_id: int, wait: WaitDone = 0
) -> PurgeProgress:
    """Count the live edges that have applied a purge; `wait` until all have."""
    if purge_id > purges.newest or purge_id < 1:
        raise Refusal(404, "no-such-purge", f"there is no purge {purge_id}", field="purge_id")
    return await purges.wait_applied(purge_id, wait)


async def _check_scope(session: AsyncSession, body: PurgeRequest) -> None:
    """Refuse what can match nothing. Raises `Refusal`."""
    if not await repository.has_services(session):
        return
    if body.service and not await repository.has_service(session, body.service):
        detail = f"there is no service {body.service}: `sennit services list` has their names"
        raise Refusal(422, "purge-matches-nothing", detail, field="service")
    for name in ("url", "prefix", "host"):
        value = getattr(body, name)
        if value is None:
            continue
        host = value if name == "host" else parse_url(value)[0].host
        if not await repository.has_hostname(session, host.strip("[]")):
            detail = f"no service has the host {host}, so nothing is stored for it: check its spelling"
            raise Refusal(422, "purge-matches-nothing", detail, field=name)


def purge_view(record: PurgeRecord) -> PurgeView:
    return PurgeView.model_validate(record, from_attributes=True)
