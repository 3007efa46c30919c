"""`/v1/table`: the generation is the ETag, and `wait` makes it a long poll."""

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from balancer.control.identity import Anyone
from balancer.control.plane import Plane
from balancer.control.problems import refusals

router = APIRouter(prefix="/v1/table", tags=["table"])
LONGEST_WAIT = 60.0


STILL: dict[int | str, dict[str, Any]] = {304: {"description": "Still the generation of If-None-Match."}}


@router.get("", responses=STILL | refusals(401, 410))
async def get_table(
    plane: Plane,
    _: Anyone,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for a newer one.")] = 0,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Get the forwarding table."""
    known = _generation(if_none_match)
    table = plane.watch.current if known is None else await plane.watch.wait_beyond(known, wait)
    headers = {"ETag": f'"{table.generation}"', "Cache-Control": "no-store"}
    if table.generation == known:
        return Response(status_code=304, headers=headers)
    return Response(json.dumps(table.to_json()), media_type="application/json", headers=headers)


def _generation(if_none_match: str | None) -> int | None:
    match = re.fullmatch(r'(?:W/)?"(\d{1,19})"', (if_none_match or "").strip())
    return int(match[1]) if match else None
