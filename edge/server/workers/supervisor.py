"""Supervisor of worker processes on the same listening sockets: it starts, watches and replaces them.

The sockets are bound once and inherited by every worker, old and new: unlike with SO_REUSEPORT, no connection that
waits in a listener's queue is lost when a worker ends. Each generation of workers has hand-over sockets of its own; the
next one holds those of the generation before, which finishes its sessions meanwhile. SIGHUP starts a generation with
settings, certificates and code as they are now; it takes over once all its workers are ready, else nothing changes.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from edge.config.settings import EdgeSettings
from edge.ingress.listening_sockets import ListeningSockets
from edge.server.status.applied_services import combine_applied
from edge.server.status.endpoints import run_endpoints
from edge.server.status.facts import combine_facts, growing_counts
from edge.server.workers.config import CONFIG_VARIABLE, WorkerConfig
from edge.server.workers.generation import WorkerGeneration, WorkerProcess
from edge.services.admission.rate_table import create_rate_memory
from edge.telemetry.figures import add_counts
from node.state.identity import NodeIdentity
from services.published_file import AppliedServices

log = logging.getLogger("edge.server.workers.supervisor")

START_TIMEOUT = 30.0
REPORT_LIMIT = (
    64 << 20
)  # bytes of a worker's report: with the documents that it keeps in place of refused ones
RESTART_DELAY = 1.0  # seconds, so that a worker that ends at once does not load the machine


class Supervisor:
    """The process of `sennit edge --workers N`. `reread` returns the settings as they are now.

    `path_managers` has a channel for each worker of two generations, or none: transport tcp only.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        reread: Callable[[], EdgeSettings],
        node: NodeIdentity,
        sockets: ListeningSockets,
        path_managers: list[socket.socket],
    ) -> None:
        self._settings = settings
        self._reread = reread
        self._node = node
        self._sockets = sockets
        self._path_managers = path_managers
        self._count = settings.workers
        self._secret = secrets.token_hex(32)
        self._rates = create_rate_memory()  # one limit for the workers of all generations
        self._current: WorkerGeneration | None = None
        self._older: WorkerGeneration | None = None
        self._stopping = False
        self._ended: dict[str, Any] = {}  # counts of workers that have ended

    async def run(self, notify: Callable[[str], None]) -> None:
        """Serve until SIGTERM. Raises RuntimeError where no worker starts, OSError."""
        stopped, reload = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, reload.set)
        try:
            self._current = await self._start_generation(self._settings)
            self._current.start_accepting()
            async with run_endpoints(self._settings, self._facts, self._applied):
                node = self._node
                log.info("ready: edge %d (%s), %d workers", node.edge_id, node.name, self._count)
                notify("READY=1")
                await self._serve_reloads(stopped, reload, notify)
                notify("STOPPING=1")
        finally:
            self._stopping = True
            for generation in (self._older, self._current):
                if generation is not None:
                    await generation.stop()

    async def _serve_reloads(
        self, stopped: asyncio.Event, reload: asyncio.Event, notify: Callable[[str], None]
    ) -> None:
        while not stopped.is_set():
            waits = [asyncio.create_task(one.wait()) for one in (stopped, reload)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            if reload.is_set() and not stopped.is_set():
                reload.clear()
                notify("RELOADING=1")
                await self._reload_workers()
                notify("READY=1")

    async def _reload_workers(self) -> None:
        """Start the next generation; the current one finishes, the one before that is stopped."""
        if self._older is not None:
            older, self._older = self._older, None
            await older.stop()
        before = self._current
        assert before is not None
        try:
            settings = self._reread()
            self._older = before
            started = await self._start_generation(settings)
        except Exception as error:
            self._older = None
            log.error("reload failed, keeping the running workers: %s", error)
            return
        self._current = started
        started.start_accepting()
        before.replaced = True
        for worker in before.workers.values():
            worker.process.send_signal(signal.SIGQUIT)
        log.info("reloaded: %d workers finish their sessions", len(before.workers))

    async def _start_generation(self, settings: EdgeSettings) -> WorkerGeneration:
        parity = 1 - self._older.parity if self._older is not None else 0
        made = WorkerGeneration.create(settings, parity, self._count)
        try:
            for index in range(self._count):
                await self._spawn_worker(made, index)
            async with asyncio.timeout(START_TIMEOUT):
                for worker in list(made.workers.values()):
                    await worker.wait_ready()
        except BaseException:
            await made.stop()
            raise
        return made

    async def _spawn_worker(self, generation: WorkerGeneration, index: int) -> None:
        ours, theirs = socket.socketpair()
        config = self._worker_config(generation, index, theirs.fileno())
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "edge.server.worker",
            pass_fds=config.descriptors,
            env={**os.environ, CONFIG_VARIABLE: config.encode()},
            stdin=asyncio.subprocess.DEVNULL,
        )
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=REPORT_LIMIT)
        worker = WorkerProcess(index, process, writer)
        generation.workers[index] = worker
        task = asyncio.create_task(self._watch_worker(generation, worker, reader))
        generation.watching.add(task)
        task.add_done_callback(generation.watching.discard)

    def _worker_config(self, generation: WorkerGeneration, index: int, control: int) -> WorkerConfig:
        channel = generation.parity * self._count + index
        older = self._older if self._older is not generation else None
        return WorkerConfig(
            index=index,
            secret=self._secret,
            settings=generation.settings.model_dump(mode="json"),
            control=control,
            listening=[each.fileno() for each in self._sockets.sessions],
            https=[each.fileno() for each in self._sockets.https],
            inbox=generation.inboxes[index].fileno(),
            peers=[each.fileno() for each in generation.outboxes],
            older=[each.fileno() for each in older.outboxes] if older is not None else [],
            path_manager=self._path_managers[channel].fileno() if self._path_managers else None,
            rates=self._rates,
        )

    async def _watch_worker(
        self, generation: WorkerGeneration, worker: WorkerProcess, reader: asyncio.StreamReader
    ) -> None:
        """Keep the worker's reports; replace it when it ends."""
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                worker.facts, worker.reported_at = json.loads(line), time.monotonic()
                if not worker.ready.is_set():
                    worker.ready.set()
                    if generation.accepting:
                        worker.writer.write(b"go\n")
        status = await worker.process.wait()
        worker.writer.close()
        self._ended = add_counts(self._ended, growing_counts(worker.facts))
        if generation.workers.get(worker.index) is worker:
            del generation.workers[worker.index]
        if generation.replaced or self._stopping:
            if not generation.workers and generation is self._older:
                self._forget_older()
            return
        if not worker.ready.is_set() and not generation.accepting:
            return  # it ended while its generation started: `wait_ready` reports it
        log.error("worker %d ended with status %d: starting another", worker.index, status)
        await self._replace_worker(generation, worker.index)

    async def _replace_worker(self, generation: WorkerGeneration, index: int) -> None:
        """Start a worker in place of one that ended, and retry: memory may be short for a while."""
        while True:
            await asyncio.sleep(RESTART_DELAY)
            if generation.replaced or self._stopping:
                return
            try:
                return await self._spawn_worker(generation, index)
            except OSError as error:
                log.error("worker %d cannot be started: %s", index, error)

    def _forget_older(self) -> None:
        log.info("the workers before the reload have finished")
        assert self._older is not None
        self._older.close()
        self._older = None
        for worker in self._current.workers.values() if self._current is not None else ():
            worker.writer.write(b"alone\n")

    def _applied(self) -> AppliedServices | None:
        return combine_applied(worker.facts for worker in self._workers)

    @property
    def _workers(self) -> list[WorkerProcess]:
        generations = [one for one in (self._current, self._older) if one is not None]
        return [worker for generation in generations for worker in generation.workers.values()]

    def _facts(self, reasons: list[str]) -> dict[str, Any]:
        """Return the facts of all workers; a silent one counts for no session at the service port."""
        current = list(self._current.workers.values()) if self._current is not None else []
        older = list(self._older.workers.values()) if self._older is not None else []
        silent = sum(worker.is_silent for worker in current)
        own: list[str] = []
        if silent:
            own.append(f"{silent} of {self._count} workers give no sign of life")
        if len(current) < self._count:
            own.append(f"{len(current)} of {self._count} workers are running")
        parts = [
            {**worker.facts, "sessions_at_service_port": 0} if worker.is_silent else worker.facts
            for worker in (*current, *older)
        ]
        facts = combine_facts(self._node, [*parts, self._ended], [*own, *reasons])
        if silent and silent == len(current):
            facts["status"] = "down"
        return {**facts, "workers": len(current), "finishing": len(older)}
