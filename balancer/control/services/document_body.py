"""A request whose body is a document: read once the caller is known, since it may be large.

FastAPI reads a declared body before it looks at the token; so this one is declared in the OpenAPI document only.
"""

import json
from typing import Annotated, Any

from fastapi import Depends, Request

from balancer.control.authentication.dependencies import Operator
from balancer.control.http.problems import Refusal
from balancer.control.services.validation import check_document
from services.document import ServiceDocument

_SCHEMA = {"$ref": "#/components/schemas/ServiceDocument"}
DOCUMENT_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}
}


def parse_json(text: bytes) -> Any:
    """Parse JSON strictly; raises ValueError for a name that stands twice in an object, for NaN and for NUL."""
    return json.loads(text, object_pairs_hook=_unique_names, parse_constant=_refuse_constant)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    for name, value in pairs:
        texts = (name, *(value if isinstance(value, list) else (value,)))
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise ValueError(f"{name}: must not contain NUL")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


async def read_document(request: Request, _: Operator) -> ServiceDocument:
    """Read the body and check it; the Refusal 422 lists every fault."""
    try:
        value = parse_json(await request.body())
    except (ValueError, RecursionError) as error:
        raise Refusal(422, "invalid-document", f"not JSON: {error}", field="body") from None
    return check_document(value)


DocumentBody = Annotated[ServiceDocument, Depends(read_document)]
