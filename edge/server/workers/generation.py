"""Worker processes that were started together, and the channels between them."""

import asyncio
import logging
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from edge.config.settings import EdgeSettings

log = logging.getLogger("edge.server.workers.generation")

SILENT_AFTER = 4.0  # seconds; workers report twice a second
STOP_TIMEOUT = 20.0


@dataclass(eq=False)
class WorkerProcess:
    """A running worker process and its last report."""

    index: int
    process: asyncio.subprocess.Process
    writer: asyncio.StreamWriter
    facts: dict[str, Any] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    reported_at: float = field(default_factory=time.monotonic)

    @property
    def is_silent(self) -> bool:
        """Whether its reports have stopped: its event loop hangs."""
        return time.monotonic() - self.reported_at > SILENT_AFTER

    async def wait_ready(self) -> None:
        """Wait for its first report. Raises RuntimeError when it ends before."""
        ready, ended = asyncio.create_task(self.ready.wait()), asyncio.create_task(self.process.wait())
        await asyncio.wait([ready, ended], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not self.ready.is_set():
            raise RuntimeError(f"worker {self.index} did not start; see its log")
        ended.cancel()


@dataclass(eq=False)
class WorkerGeneration:
    """Workers with the same settings; `outboxes` lead to the `inboxes` in which they receive subflows."""

    settings: EdgeSettings
    parity: int
    inboxes: list[socket.socket]
    outboxes: list[socket.socket]
    workers: dict[int, WorkerProcess] = field(default_factory=dict)
    watching: set[asyncio.Task[None]] = field(default_factory=set)
    accepting: bool = False
    replaced: bool = False

    @classmethod
    def create(cls, settings: EdgeSettings, parity: int, count: int) -> "WorkerGeneration":
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(count)]
        return cls(settings, parity, [inbox for inbox, _ in pairs], [outbox for _, outbox in pairs])

    def start_accepting(self) -> None:
        """Let its workers accept, and those that replace them."""
        self.accepting = True
        for worker in self.workers.values():
            worker.writer.write(b"go\n")

    async def stop(self) -> None:
        """End all workers; kill those that do not end in time."""
        self.replaced = True
        workers = list(self.workers.values())
        for worker in workers:
            if worker.process.returncode is None:
                worker.process.terminate()
        for worker in workers:
            try:
                async with asyncio.timeout(STOP_TIMEOUT):
                    await worker.process.wait()
            except TimeoutError:
                log.error("worker %d did not end within %g s: killed", worker.index, STOP_TIMEOUT)
                worker.process.kill()
        await asyncio.gather(*self.watching, return_exceptions=True)
        self.close()

    def close(self) -> None:
        for each in (*self.inboxes, *self.outboxes):
            each.close()
