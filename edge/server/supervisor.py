"""Several worker processes on the same listening sockets: started, watched, replaced.

The sockets are bound here once and inherited by every worker, old and new: unlike with SO_REUSEPORT, no connection that
waits to be accepted is lost when a worker ends. Each generation of workers has hand-over sockets of its own; the next
one holds the ways to those of the generation before, which finish their sessions meanwhile. SIGHUP starts a generation
with settings, certificates and code as they are now; it takes over once all its workers are ready, else nothing
changes.
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
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edge.config.identity import load_identity
from edge.config.settings import EdgeSettings
from edge.handshake.path_manager import start_path_manager
from edge.ingress.https import listen_https
from edge.ingress.listener import listen_on_vip
from edge.server import metrics
from edge.server.health import HealthEndpoint
from edge.server.origin_monitor import OriginMonitor
from edge.server.worker import CONFIG_VARIABLE, WorkerConfig
from node.state.catalogue import EDGE_SOCKET
from node.state.identity import NodeIdentity, wait_for_identity
from runtime.capabilities import NET_ADMIN, drop_capabilities
from smkex.transport.mptcp.errors import MptcpError

log = logging.getLogger("edge.server.supervisor")

START_TIMEOUT = 30.0
STOP_TIMEOUT = 20.0
SILENT_AFTER = 4.0
RESTART_DELAY = 1.0  # seconds: a worker that dies at once again must not keep the machine busy


@dataclass(eq=False)
class WorkerProcess:
    """A running worker and what it said last."""

    index: int
    process: asyncio.subprocess.Process
    writer: asyncio.StreamWriter
    facts: dict[str, Any] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    reported_at: float = field(default_factory=time.monotonic)

    @property
    def silent(self) -> bool:
        """Whether it hangs: it reports every second."""
        return time.monotonic() - self.reported_at > SILENT_AFTER


@dataclass(eq=False)
class WorkerGeneration:
    """All workers that were started together, and the sockets over which they pass subflows."""

    settings: EdgeSettings
    parity: int
    inboxes: list[socket.socket]
    outboxes: list[socket.socket]
    workers: dict[int, WorkerProcess] = field(default_factory=dict)
    watching: set[asyncio.Task[None]] = field(default_factory=set)
    accepting: bool = False
    replaced: bool = False

    def start_accepting(self) -> None:
        """Let its workers accept, and those that take their places."""
        self.accepting = True
        for worker in self.workers.values():
            worker.writer.write(b"go\n")

    def close(self) -> None:
        for each in (*self.inboxes, *self.outboxes):
            each.close()


class Supervisor:
    """The process that `sennit edge --workers N` is. `reread` gives the settings as they are now."""

    def __init__(self, settings: EdgeSettings, reread: Callable[[], EdgeSettings]) -> None:
        self._settings = settings
        self._reread = reread
        self._count = settings.workers
        self._secret = secrets.token_hex(32)
        self._listening: list[socket.socket] = []
        self._https: socket.socket | None = None
        self._managers: list[socket.socket] = []
        self._current: WorkerGeneration | None = None
        self._older: WorkerGeneration | None = None
        self._stopping = False
        self._origin = OriginMonitor(settings.upstream) if settings.app is None else None

    async def run(self, notify: Callable[[str], None]) -> None:
        """Serve until SIGTERM. Raises as `edge.server.main.run`."""
        stopped, reload = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, reload.set)
        node = await wait_for_identity(self._settings.state, self._settings.node_timeout)
        load_identity(self._settings, node)
        self._listening = listen_on_vip(node)
        if self._settings.https_port is not None:
            self._https = listen_https(node.service_v4, self._settings.https_port)
        self._managers = self._start_path_manager(node)
        facts = partial(self._facts, node)
        health = HealthEndpoint(EDGE_SOCKET.path_in(self._settings.state), facts)
        looking = asyncio.create_task(self._origin.run()) if self._origin is not None else None
        end_metrics = metrics.serve_metrics(self._settings.metrics, facts)
        try:
            self._current = await self._start(self._settings)
            self._current.start_accepting()
            await health.start()
            log.info("ready: edge %d (%s), %d workers", node.edge_id, node.name, self._count)
            notify("READY=1")
            await self._until_stopped(stopped, reload, notify)
        finally:
            notify("STOPPING=1")
            self._stopping = True
            end_metrics()
            if looking is not None:
                looking.cancel()
            await health.stop()
            for generation in (self._older, self._current):
                if generation is not None:
                    await self._end(generation)

    async def _until_stopped(
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
                await self._reload()
                notify("READY=1")

    async def _reload(self) -> None:
        """Start the next generation; the one before finishes, the one before that ends."""
        if self._older is not None:
            older, self._older = self._older, None
            await self._end(older)
        before = self._current
        assert before is not None
        try:
            settings = self._reread()
            self._older = before
            started = await self._start(settings)
        except Exception as error:
            self._older = None
            log.error("nothing is changed: %s", error)
            return
        self._current = started
        started.start_accepting()
        before.replaced = True
        for worker in before.workers.values():
            worker.process.send_signal(signal.SIGQUIT)
        log.info("reloaded: %d workers finish their sessions", len(before.workers))

    async def _start(self, settings: EdgeSettings) -> WorkerGeneration:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(self._count)]
        parity = 1 - self._older.parity if self._older is not None else 0
        made = WorkerGeneration(settings, parity, [a for a, _ in pairs], [b for _, b in pairs])
        try:
            for index in range(self._count):
                await self._spawn(made, index)
            async with asyncio.timeout(START_TIMEOUT):
                for worker in list(made.workers.values()):
                    await self._until_ready(worker)
        except BaseException:
            made.replaced = True
            await self._end(made)
            raise
        return made

    async def _until_ready(self, worker: WorkerProcess) -> None:
        ready, ended = asyncio.create_task(worker.ready.wait()), asyncio.create_task(worker.process.wait())
        await asyncio.wait([ready, ended], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not worker.ready.is_set():
            raise RuntimeError(f"worker {worker.index} did not start: its log says why")
        ended.cancel()

    async def _spawn(self, generation: WorkerGeneration, index: int) -> None:
        ours, theirs = socket.socketpair()
        manager = self._managers[generation.parity * self._count + index] if self._managers else None
        older = self._older if self._older is not generation else None
        orders = WorkerConfig(
            index=index,
            secret=self._secret,
            settings=generation.settings.model_dump(mode="json"),
            control=theirs.fileno(),
            listening=[each.fileno() for each in self._listening],
            https=self._https.fileno() if self._https is not None else None,
            inbox=generation.inboxes[index].fileno(),
            peers=[each.fileno() for each in generation.outboxes],
            older=[each.fileno() for each in older.outboxes] if older is not None else [],
            path_manager=manager.fileno() if manager is not None else None,
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "edge.server.worker",
            pass_fds=orders.descriptors,
            env={**os.environ, CONFIG_VARIABLE: orders.encode()},
            stdin=asyncio.subprocess.DEVNULL,
        )
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        worker = WorkerProcess(index, process, writer)
        generation.workers[index] = worker
        task = asyncio.create_task(self._watch(generation, worker, reader))
        generation.watching.add(task)
        task.add_done_callback(generation.watching.discard)

    async def _watch(
        self, generation: WorkerGeneration, worker: WorkerProcess, reader: asyncio.StreamReader
    ) -> None:
        """Keep what a worker says; when it ends, start another in its place."""
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                worker.facts, worker.reported_at = json.loads(line), time.monotonic()
                if not worker.ready.is_set():
                    worker.ready.set()
                    if generation.accepting:
                        worker.writer.write(b"go\n")
        status = await worker.process.wait()
        worker.writer.close()
        if generation.workers.get(worker.index) is worker:
            del generation.workers[worker.index]
        if generation.replaced or self._stopping:
            if not generation.workers and generation is self._older:
                self._forget_older()
            return
        if not worker.ready.is_set() and not generation.accepting:
            return  # one of the first, which never started: whoever waits for it says so
        log.error("worker %d ended with status %d: starting another", worker.index, status)
        await self._replace(generation, worker.index)

    async def _replace(self, generation: WorkerGeneration, index: int) -> None:
        """Start a worker in the place of one that ended, however often it takes: memory may be short just now."""
        while True:
            await asyncio.sleep(RESTART_DELAY)
            if generation.replaced or self._stopping:
                return
            try:
                return await self._spawn(generation, index)
            except OSError as error:
                log.error("worker %d cannot be started: %s", index, error)

    def _forget_older(self) -> None:
        log.info("the workers before the reload have finished")
        assert self._older is not None
        self._older.close()
        self._older = None
        for worker in self._current.workers.values() if self._current is not None else ():
            worker.writer.write(b"alone\n")

    async def _end(self, generation: WorkerGeneration) -> None:
        """End all workers of a generation; those that do not are killed."""
        generation.replaced = True
        workers = list(generation.workers.values())
        for worker in workers:
            if worker.process.returncode is None:
                worker.process.send_signal(signal.SIGTERM)
        for worker in workers:
            try:
                await asyncio.wait_for(worker.process.wait(), STOP_TIMEOUT)
            except TimeoutError:
                log.error("worker %d does not end: killed", worker.index)
                worker.process.kill()
        await asyncio.gather(*generation.watching, return_exceptions=True)
        generation.close()

    def _start_path_manager(self, node: NodeIdentity) -> list[socket.socket]:
        """One channel for each worker of two generations; without NET_ADMIN none: transport tcp only."""
        try:
            _, channels = start_path_manager(
                {node.service_v4, node.locator_of(node.service_v4)[0]}, clients=2 * self._count
            )
        except MptcpError as error:
            log.warning("transport tcp only, no mptcp: %s (%s)", error, error.hint)
            return []
        finally:
            drop_capabilities(NET_ADMIN)
        return channels

    def _facts(self, node: NodeIdentity) -> dict[str, Any]:
        """The workers' health as one."""
        generations = [each for each in (self._current, self._older) if each is not None]
        told = [worker.facts for each in generations for worker in each.workers.values()]
        reasons = sorted({reason for facts in told for reason in facts.get("reasons", [])})
        failures: Counter[str] = Counter()
        for facts in told:
            failures.update(facts.get("failures", {}))
        reasons += self._origin.reasons if self._origin is not None else []
        there = len(self._current.workers) if self._current is not None else 0
        if there < self._count:
            reasons.append(f"{there} of {self._count} workers are running")
        silent = (
            sum(each.silent for each in self._current.workers.values()) if self._current is not None else 0
        )
        if silent:
            reasons.insert(0, f"{silent} of {self._count} workers give no sign of life")
        return {
            "status": "down" if silent and silent == there else "degraded" if reasons else "ok",
            "reasons": reasons,
            "edge_id": node.edge_id,
            "draining": any(facts.get("draining", False) for facts in told),
            "sessions": sum(facts.get("sessions", 0) for facts in told),
            "sessions_at_service_port": sum(
                each.facts.get("sessions_at_service_port", 0)
                for generation in generations
                for each in generation.workers.values()
                if not each.silent
            ),
            "handshakes": sum(facts.get("handshakes", 0) for facts in told),
            "failures": dict(failures),
            "workers": there,
            "finishing": len(self._older.workers) if self._older is not None else 0,
        }
