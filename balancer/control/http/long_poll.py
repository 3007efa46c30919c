"""Long polls, the same for all that is published in generations: `wait`, `since`, and the generation as ETag."""

import re
from typing import Annotated, Any

from fastapi import Query

from balancer.api.numbers import LARGEST_NUMBER
from balancer.control.http.plain_query import PlainQuery

LONGEST_WAIT = 60.0
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Still the generation of If-None-Match."}
}
Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for a newer one.")]
Since = Annotated[
    int | None, Query(ge=0, le=LARGEST_NUMBER, description="Answer with what changed since this generation.")
]
POLL_QUERY = PlainQuery(wait=Wait, since=Since)


def parse_etag(if_none_match: str | None) -> int | None:
    """Return the generation that the client has."""
    match = re.fullmatch(r'(?:W/)?"(\d{1,19})"', (if_none_match or "").strip())
    return int(match[1]) if match else None
