"""`/v1/fast-open-keys`. Answers to heartbeats name the newest id; agents fetch both keys and write them for the edge.

An edge that receives a new key later than its neighbours refuses their cookies meanwhile, and the client's data
follows the handshake as without Fast Open: nothing fails, so the fleet need not change at once.
"""

import secrets

from fastapi import APIRouter, Response

from balancer.api.fast_open_keys import FastOpenKey, FastOpenKeys, FastOpenKeyView, FastOpenRotation
from balancer.api.numbers import epoch_of, next_number
from balancer.control.audit import service as audit
from balancer.control.authentication.dependencies import Admin, EdgeOrAdmin
from balancer.control.fast_open_keys import repository
from balancer.control.http.parts import NewestPart, StorePart
from balancer.control.http.problems import refusal_responses
from balancer.control.storage.records import FastOpenKeyRecord
from balancer.control.table.watch import WatchPart

router = APIRouter(prefix="/v1/fast-open-keys", tags=["fast-open-keys"])


@router.post("", status_code=201, responses=refusal_responses(401, 403))
async def rotate_fast_open_keys(
    store: StorePart, newest: NewestPart, watch: WatchPart, by: Admin, body: FastOpenRotation
) -> FastOpenKeyView:
    """Create a new key: the previous one is still accepted, the one before that is not."""
    now = store.now()
    record = FastOpenKeyRecord(at=now, key=secrets.token_hex(16))
    async with store.change() as session:
        record.id = next_number(await repository.newest_id(session), epoch_of(watch.generation))
        session.add(record)
        await session.flush()
        await repository.drop_older(session)
        audit.record_change(
            session, now, by.because(body.reason), "fast-open-keys.rotate", f"key {record.id}"
        )
    newest.fast_open_key = max(newest.fast_open_key, record.id)
    return FastOpenKeyView(id=record.id, at=record.at)


@router.get("", responses=refusal_responses(401, 403))
async def show_fast_open_keys(store: StorePart, _: EdgeOrAdmin, response: Response) -> FastOpenKeys:
    """Show the accepted keys, at most two, newest first."""
    async with store.read() as session:
        found = await repository.list_kept(session)
    response.headers["Cache-Control"] = "no-store"
    return FastOpenKeys(items=[FastOpenKey(id=each.id, at=each.at, key=each.key) for each in found])
