"""One health check: a GET on a connection of its own, whose status is compared."""

import asyncio

import httpx

from edge.origins.checks.watched_origin import WatchedOrigin
from smkex.http.httpx_transport import PoolTransport
from smkex.http.pool import HttpPool


async def check_origin(watched: WatchedOrigin) -> str | None:
    """Return why the origin is not healthy, None if it is. Never raises."""
    transport = PoolTransport(HttpPool(connections=1, open_stream=watched.open_stream))
    try:
        async with asyncio.timeout(watched.check.timeout):
            response = await transport.handle_async_request(_make_request(watched))
            await response.aclose()
    except TimeoutError:
        return f"check: no response within {watched.check.timeout:g} s"
    except httpx.TransportError as error:
        return f"check: {type(error).__name__}: {error}"
    finally:
        await transport.aclose()
    if response.status_code != watched.check.status:
        return f"check: status {response.status_code} instead of {watched.check.status}"
    return None


def _make_request(watched: WatchedOrigin) -> httpx.Request:
    url = httpx.URL(watched.origin.url)
    base = url.raw_path.partition(b"?")[0].rstrip(b"/")
    host = watched.origin.host or url.netloc.decode("ascii")
    fields = {"host": f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host}
    fields |= {"user-agent": "sennit-health-check", "connection": "close"}
    return httpx.Request(
        "GET", url.copy_with(raw_path=base + watched.check.path.encode("ascii")), headers=fields
    )
