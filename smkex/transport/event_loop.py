"""The event loop of programs that serve or open many sessions, and sessions on any other loop.

A `ReactorLoop` has a `Reactor` for its selector. On any other loop (asyncio's own, uvloop)
flows and sessions run all the same (`smkex.transport.loop_poller`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

from smkex.transport.loop_poller import LoopPoller
from smkex.transport.poller import Poller
from smkex.transport.reactor import Reactor

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class ReactorLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose selector serves the descriptors of sessions itself."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        super().__init__(cast(Any, self.reactor))  # a selector by its methods

    # the reactor's turns go on until asyncio has work: by these calls it gets some

    def call_soon(
        self,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        self.reactor.asyncio_has_work = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.reactor.asyncio_has_work = True
        return super().call_at(when, callback, *args, context=context)

    def stop(self) -> None:
        self.reactor.asyncio_has_work = True
        super().stop()


def running_poller() -> Poller:
    """Return the poller of the running event loop."""
    loop = asyncio.get_running_loop()
    return loop.reactor if isinstance(loop, ReactorLoop) else LoopPoller(loop)


def run_in_reactor(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a program as `asyncio.run` does, in a `ReactorLoop`."""
    with asyncio.Runner(loop_factory=ReactorLoop) as runner:
        return runner.run(main)
