"""Paging, the same everywhere: `limit` items beyond `after`, and `next` in the answer is the following `after`."""

from typing import Annotated

from fastapi import Path, Query

from balancer.api.numbers import LARGEST_NUMBER
from node.vip import MAXIMUM_EDGE_ID

After = Annotated[int, Query(ge=0, le=LARGEST_NUMBER, description="The `next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items in a page.")]
RowId = Annotated[int, Path(ge=1, le=LARGEST_NUMBER, examples=[1])]
AfterName = Annotated[str, Query(max_length=63, description="The `next` of the page before.")]
EdgeIdPath = Annotated[int, Path(ge=1, le=MAXIMUM_EDGE_ID, examples=[1])]
