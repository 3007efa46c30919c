"""`/v1/table`: the generation is the ETag, `wait` makes it a long poll, `since` gets the difference; events beside."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse

from balancer.api.access import Role
from balancer.api.tables import (
    AcknowledgementView,
    FreezeRequest,
    FreezeView,
    GenerationPage,
    GenerationView,
    RollbackRequest,
    TableView,
)
from balancer.control.authentication.caller import Caller
from balancer.control.authentication.dependencies import Anyone, Operator, Reader
from balancer.control.authentication.edge_route import EdgeRoute
from balancer.control.health.acknowledgement import Acknowledgements
from balancer.control.http.long_poll import NOT_MODIFIED, POLL_QUERY, Since, Wait, parse_etag
from balancer.control.http.paging import After, Limit
from balancer.control.http.parts import StorePart, find_part, provide_part
from balancer.control.http.problems import refusal_responses, success_response
from balancer.control.storage.records import GenerationRecord
from balancer.control.table import acknowledgements, freeze, repository
from balancer.control.table.changes import Change
from balancer.control.table.publication import Publication
from balancer.control.table.timestamps import TimestampSigner
from balancer.control.table.watch import TableWatch, WatchPart
from balancer.model.timestamp import HEADER

router = APIRouter(prefix="/v1", tags=["table"])
polls = APIRouter(prefix="/v1", tags=["table"])
KEEPALIVE_INTERVAL = (
    15.0  # seconds between comments in an idle event stream, below the idle time-outs of middleboxes
)
CHANGES_SHOWN = 20
EVENT = {name: {"type": "string"} for name in ("id", "event", "data")}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `table`; id: the generation, data: as GET /v1/table answers.",
        "content": {"text/event-stream": {"schema": {"type": "object", "properties": EVENT}}},
    }
}
TimestampsPart = Annotated[TimestampSigner, Depends(provide_part(TimestampSigner))]
PublicationPart = Annotated[Publication, Depends(provide_part(Publication))]
AcknowledgementsPart = Annotated[Acknowledgements, Depends(provide_part(Acknowledgements))]


async def get_table(
    watch: WatchPart,
    timestamps: TimestampsPart,
    by: Anyone,
    wait: Wait = 0,
    since: Since = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Get the forwarding table, signed. With `since` only what changed, as long as that is still stored."""
    known = parse_etag(if_none_match)
    if known is not None:
        await watch.wait_beyond(known, wait)
    headers = {
        "ETag": f'"{watch.generation}"',
        "Cache-Control": "no-store",
        HEADER: timestamps.current_header(),
    }
    if watch.generation == known:
        return Response(status_code=304, headers=headers)
    body = watch.live.body(since, with_seeds=by.role is Role.EDGE)
    return Response(body, media_type="application/json", headers=headers)


class TableRoute(EdgeRoute):
    """Answers the long polls of edges."""

    async def answer_edge(self, request: Request, edge: Caller) -> Response | None:
        query = POLL_QUERY.parse(request.scope["query_string"])
        if query is None:
            return None
        watch, tag = find_part(request.app, TableWatch), request.headers.get("if-none-match")
        timestamps = find_part(request.app, TimestampSigner)
        return await get_table(watch, timestamps, edge, **query, if_none_match=tag)


polls.add_api_route(
    "/table",
    get_table,
    responses=success_response(200, TableView, "The table.") | NOT_MODIFIED | refusal_responses(401, 410),
    route_class_override=TableRoute,
)


@router.get("/table/events", response_class=StreamingResponse, responses=EVENTS | refusal_responses(401, 410))
async def follow_table(
    watch: WatchPart, by: Anyone, last_event_id: Annotated[str | None, Header(max_length=20)] = None
) -> StreamingResponse:
    """Follow the table as server-sent events: the whole first, or what changed since Last-Event-ID, then changes."""
    since = int(last_event_id) if last_event_id and last_event_id.isdecimal() else None
    events = _stream_events(watch, since, with_seeds=by.role is Role.EDGE)
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _stream_events(watch: TableWatch, since: int | None, *, with_seeds: bool) -> AsyncIterator[bytes]:
    """Stream the newest table; a slow reader gets fewer and larger changes, never a queue."""
    while not watch.closed:
        generation = watch.generation
        if generation != since:
            body = watch.live.body(since, with_seeds=with_seeds)
            since = generation
            yield b"id: %d\nevent: table\ndata: %s\n\n" % (generation, body)
        else:
            await watch.wait_beyond(generation, KEEPALIVE_INTERVAL)
            if watch.generation == generation:
                yield b": still here\n\n"


@router.get("/table/generations", responses=refusal_responses(401, 403))
async def list_generations(
    store: StorePart, _: Reader, after: After = 0, limit: Limit = 100
) -> GenerationPage:
    """List the generations that are kept, newest first, with what each changed: what one can roll back to."""
    async with store.read() as session:
        found = await repository.list_generations(session, after, limit + 1)
    following = found[limit - 1].generation if len(found) > limit else None
    return GenerationPage(items=[_generation_view(each) for each in found[:limit]], next=following)


def _generation_view(record: GenerationRecord) -> GenerationView:
    return GenerationView(
        generation=record.generation,
        published_at=record.published_at,
        changes=[Change.from_json(each).describe() for each in record.changes[:CHANGES_SHOWN]]
        or ["nothing: a new epoch, or a new key that signs it"],
        changed=len(record.changes),
        by_health=record.by_health,
    )


@router.get("/table/acknowledgements", responses=refusal_responses(401, 403))
async def get_acknowledgements(
    watch: WatchPart, known: AcknowledgementsPart, _: Reader, generation: Since = None
) -> AcknowledgementView:
    """Count the live forwarders that have applied the newest generation, or another, and name those behind."""
    wanted = watch.generation if generation is None else generation
    return acknowledgements.count_acknowledged(known.applied, wanted)


@router.post("/table/rollback", responses=refusal_responses(401, 403, 404, 409))
async def roll_back(
    store: StorePart, publication: PublicationPart, by: Operator, body: RollbackRequest
) -> FreezeView:
    """Publish an earlier generation as the next one and hold it, except for liveness, until DELETE /v1/freeze."""
    return await freeze.roll_back(store, publication, body.generation, by.because(body.reason))


@router.get("/freeze", responses=refusal_responses(401, 403))
async def show_freeze(publication: PublicationPart, _: Reader) -> FreezeView:
    """Show whether the table is frozen, and why."""
    return freeze.freeze_view(publication.pin)


@router.put("/freeze", responses=refusal_responses(401, 403))
async def freeze_table(
    store: StorePart, publication: PublicationPart, by: Operator, body: FreezeRequest
) -> FreezeView:
    """Freeze the table: only liveness is published; the same again changes nothing."""
    return await freeze.freeze_table(store, publication, by.because(body.reason))


@router.delete("/freeze", status_code=204, responses=refusal_responses(401, 403))
async def thaw_table(store: StorePart, publication: PublicationPart, by: Operator) -> None:
    """Publish the current state again; does nothing if the table is not frozen."""
    await freeze.thaw_table(store, publication, by)
