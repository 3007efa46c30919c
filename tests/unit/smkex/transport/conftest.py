"""Each test on both kinds of event loop that flows and sessions run on."""

import asyncio
from collections.abc import Callable, Mapping

from smkex.transport.event_loop import ReactorLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.SelectorEventLoop, "reactor": ReactorLoop}
