"""On the event loop that the edge runs on."""

import asyncio
from collections.abc import Callable, Mapping

from smkex.transport.event_loop import ReactorLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"reactor": ReactorLoop}
