"""Read an answer of a daemon that may be hostile: never encoded, never more than a limit."""

from typing import Any

import httpx

from node.state.strict_json import parse_strictly


async def fetch_object(client: httpx.AsyncClient, url: str, limit: int) -> dict[str, Any]:
    """Return the JSON object; raises `httpx.HTTPError`, and ValueError for anything else.

    An encoding that was not asked for is refused, so that no answer grows here.
    """
    body = b""
    async with client.stream("GET", url, headers={"accept-encoding": "identity"}) as response:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise ValueError("the answer is encoded")
        async for chunk in response.aiter_raw(min(limit, 65_536)):
            body += chunk
            if len(body) > limit:
                raise ValueError(f"the answer exceeds {limit} bytes")
    try:
        value = parse_strictly(body.decode())
    except RecursionError:
        raise ValueError("the answer is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("the answer is no object")
    return value
