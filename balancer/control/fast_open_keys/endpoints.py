"""`/v1/fast-open-keys`. Heartbeats tell edges the newest id; agents fetch both keys and leave them to the edge.

An edge that has a new key a moment later than its neighbours refuses their cookies for that long, and the client's
data goes behind the handshake as it would without Fast Open: nothing fails, so the fleet need not change at once.
"""

import secrets

from fastapi import APIRouter, Response

from balancer.api.fast_open_keys import FastOpenKey, FastOpenKeys, FastOpenKeyView, FastOpenRotation
from balancer.control.access.identity import Admin, EdgeOrAdmin
from balancer.control.audit import service as audit
from balancer.control.fast_open_keys import repository
from balancer.control.http.problems import refusals
from balancer.control.plane import Plane
from balancer.control.storage.records import FastOpenKeyRecord

router = APIRouter(prefix="/v1/fast-open-keys", tags=["fast-open-keys"])


@router.post("", status_code=201, responses=refusals(401, 403))
async def rotate_fast_open_keys(plane: Plane, by: Admin, body: FastOpenRotation) -> FastOpenKeyView:
    """Make a new key: the newest before is still taken, and the one before that no more."""
    now = plane.clock.now()
    record = FastOpenKeyRecord(at=now, key=secrets.token_hex(16))
    async with plane.store.change() as session:
        session.add(record)
        await session.flush()
        await repository.drop_older(session)
        audit.record(session, now, by.because(body.reason), "fast-open-keys.rotate", f"key {record.id}")
    plane.newest_fast_open_key = max(plane.newest_fast_open_key, record.id)
    return FastOpenKeyView(id=record.id, at=record.at)


@router.get("", responses=refusals(401, 403))
async def show_fast_open_keys(plane: Plane, _: EdgeOrAdmin, response: Response) -> FastOpenKeys:
    """Show the keys that count, two at most, newest first."""
    async with plane.store.read() as session:
        found = await repository.kept(session)
    response.headers["Cache-Control"] = "no-store"
    return FastOpenKeys(items=[FastOpenKey(id=each.id, at=each.at, key=each.key) for each in found])
