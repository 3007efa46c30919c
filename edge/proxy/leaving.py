"""End the work on a request whose client has left, wherever it waits.

Only for safe methods: the answer to any other is waited for, since it says what is to be invalidated.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any

from edge.cache.rules.safe_methods import SAFE_METHODS
from smkex.http.server.http1 import ON_CLIENT_LEFT


class UntilClientLeaves:
    """Async context: cancels what the current task does in it when the client leaves, and ends normally then."""

    def __init__(self, scope: MutableMapping[str, Any]) -> None:
        watch: Callable[[Callable[[], object] | None], None] | None
        watch = scope.get("extensions", {}).get(ON_CLIENT_LEFT)
        self._watch = watch if scope["method"] in SAFE_METHODS else None
        self._task: asyncio.Task[Any] | None = None
        self._left = False

    async def __aenter__(self) -> None:
        if self._watch is not None:
            self._task = asyncio.current_task()
            self._watch(self._cancel)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if self._watch is not None:
            self._watch(None)
        task, self._task = self._task, None
        if not self._left or task is None:
            return False
        others = task.uncancel()
        return isinstance(error, asyncio.CancelledError) and not others

    def _cancel(self) -> None:
        if self._task is not None:
            self._left = True
            self._task.cancel()
