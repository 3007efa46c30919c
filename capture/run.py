"""Run a program whose connections to some hosts go by sessions, and by nothing else."""

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from capture.cgroup import ControlGroup
from capture.descriptors import release_descriptors
from capture.entrances import Entrances
from capture.guard import Guard
from capture.maps import CaptureMaps
from capture.names import Address, CapturedNames
from capture.program import ProgramUser, exit_status, start_program
from capture.programs import load_programs
from capture.resolver import LoopbackResolver
from capture.signals import TO_EVERY_PROCESS, PassedSignals
from capture.system_resolvers import SystemResolvers
from runtime.capabilities import BPF, KILL, NET_ADMIN, NET_RAW, keep_only_capabilities
from runtime.heap import keep_freed_memory
from smkex.client.bounded_sessions import BoundedSessions
from smkex.client.carried_connections import SessionTarget
from smkex.client.connect import select_interfaces
from smkex.client.events import Failed, Observer
from smkex.client.explain import explain_error
from smkex.client.local_entrance import LocalEntrance
from smkex.client.options import ConnectOptions
from smkex.transport.event_loop import run_in_reactor
from smkex.transport.resolution.discovery import find_service

FLUSH_TIMEOUT = 10.0  # seconds without progress after which what an ended program has sent is given up
POLL = 0.2  # seconds between looks whether background processes have ended


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What to run; `hosts` are names, patterns or addresses that go by sessions."""

    command: Sequence[str]
    hosts: Sequence[str]
    connect: ConnectOptions
    user: ProgramUser | None = None
    service_port: int = 443
    connections: int = 256
    sessions: int = 256
    idle: float = 3600.0


ListSessions = Callable[[Callable[[], list[dict[str, Any]]]], contextlib.AbstractAsyncContextManager[None]]


def run_captured(settings: RunSettings, on_event: Observer, list_sessions: ListSessions) -> int:
    """Run the program and return its exit status, after its last process has ended.

    Raises `ControlGroupUnavailable`, `CaptureUnavailable`, `InvalidHostName`, `ProgramNotExecuted`, OSError, and
    `SmkexError` without two paths.
    """
    select_interfaces(settings.connect, None)  # before anything is changed
    with PassedSignals() as signals, _captured_group() as (group, maps, entrances):
        keep_freed_memory()
        running = _CapturedRun(settings, on_event, group, maps, entrances, signals)
        return run_in_reactor(running.run(list_sessions))


@contextlib.contextmanager
def _captured_group() -> Iterator[tuple[ControlGroup, CaptureMaps, Entrances]]:
    """A control group with the programs attached, its maps and its ports; everything is removed afterwards."""
    group = ControlGroup.create()
    guard: Guard | None = None
    try:
        programs, maps = load_programs()
        with Entrances() as entrances, contextlib.closing(maps):
            maps.set_entrances(entrances.streams_port, entrances.resolver_port)
            programs.attach(group.descriptor)
            programs.close()
            guard = Guard.start(group, entrances.listening)
            yield group, maps, entrances
    finally:
        if guard is None:
            group.remove()
        elif group.is_populated():
            guard.take_over()  # an error here must not let the program go any other way
        else:
            guard.remove_group()


class _CapturedRun:
    """One run: entrance, resolver, program."""

    def __init__(
        self,
        settings: RunSettings,
        on_event: Observer,
        group: ControlGroup,
        maps: CaptureMaps,
        entrances: Entrances,
        signals: PassedSignals,
    ) -> None:
        self._settings, self._emit = settings, on_event
        self._group, self._maps, self._entrances = group, maps, entrances
        self._signals = signals
        self._program: subprocess.Popen[bytes] | None = None
        self._stopped_by: int | None = None
        self._limit: asyncio.Timeout | None = None
        self._names = CapturedNames(settings.hosts, self._resolve, maps.capture_address)
        self._sessions = BoundedSessions(settings.connect, on_event, settings.sessions)
        self._entrance = LocalEntrance(
            self._find_target,
            self._sessions,
            on_event,
            connections=settings.connections,
            idle=settings.idle,
        )

    async def run(self, list_sessions: ListSessions) -> int:
        asyncio.get_running_loop().add_reader(self._signals.descriptor, self._receive_signals)
        resolvers = SystemResolvers(self._maps)
        resolvers.refresh()
        async with self._until_signal():
            for name, error in (await self._names.resolve_exact()).items():
                found = explain_error(error)
                self._emit(Failed(name, found.name, found.text, found.hint))
        if self._stopped_by is not None:
            return 128 + self._stopped_by
        self._program = program = start_program(
            self._settings.command, self._group, self._settings.user, self._signals.restore
        )
        release_descriptors()
        _drop_privileges(self._settings.connect.transport)
        resolver = LoopbackResolver(self._names, resolvers)
        for sock in self._entrances.streams:
            await self._entrance.listen_on(sock)
        await resolver.start(self._entrances.datagrams, self._entrances.questions)
        async with list_sessions(self._sessions.list_sessions):
            try:
                return exit_status(await self._wait_for(program))
            finally:
                await resolver.stop()
                await self._entrance.stop()

    async def _wait_for(self, program: "subprocess.Popen[bytes]") -> int:
        """Serve until the program and its background processes have ended, and what they sent has left."""
        await _wait_for_exit(program.pid)
        while self._group.is_populated():  # noqa: ASYNC110 (the kernel's notification is not for epoll's readers)
            await asyncio.sleep(POLL)
        async with self._until_signal():
            await self._flush()
        return program.wait()

    async def _flush(self) -> None:
        """Wait until what ended programs have sent has left, for as long as any of it does."""
        ended = asyncio.create_task(self._entrance.wait_idle())
        try:
            progress = -1
            while not ended.done() and progress != (progress := self._sessions.progress()):
                await asyncio.wait({ended}, timeout=FLUSH_TIMEOUT)
        finally:
            if ended.cancel():
                text = f"{len(self._entrance)} connections that did not end after the program were broken off"
                self._emit(
                    Failed(
                        self._settings.command[0], "BrokenOff", text, "what the program sent last may be lost"
                    )
                )

    @contextlib.asynccontextmanager
    async def _until_signal(self) -> AsyncIterator[None]:
        """Run a block, in which there is no program, until its end or a signal."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as self._limit:
                yield
        self._limit = None

    def _receive_signals(self) -> None:
        """Pass on what was not sent to the program too; where there is no program, end the block that runs."""
        for number, by_kernel in self._signals.read():
            if self._limit is not None:
                self._stopped_by = number
                if not self._limit.expired():
                    self._limit.reschedule(0)
            elif self._program is None or by_kernel:
                continue
            elif number in TO_EVERY_PROCESS or self._program.poll() is not None:
                for process in self._group.processes():
                    with contextlib.suppress(OSError):
                        os.kill(process, number)
            else:
                self._program.send_signal(number)

    async def _find_target(self, sock: socket.socket) -> SessionTarget:
        dialled = self._maps.take_dialled(sock.getpeername()[:2])
        if dialled is None:
            raise PermissionError("a connection to the entrance that no captured program made")
        host = self._names.host_at(dialled.address)
        assert host is not None  # a run captures what its hosts claim
        return SessionTarget(host, self._settings.service_port)

    async def _resolve(self, name: str) -> tuple[Address, ...]:
        options = self._settings.connect
        interfaces = select_interfaces(options, None)
        found = await find_service(name, self._settings.service_port, interfaces, options.resolvers or {})
        return found.addresses


def _drop_privileges(transport: str) -> None:
    """Keep what serving needs: maps, signals to programs of another user, and with mptcp the path manager."""
    kept = (BPF, KILL, NET_ADMIN, NET_RAW) if transport == "mptcp" else (BPF, KILL)
    keep_only_capabilities(*kept)


async def _wait_for_exit(process: int) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    descriptor = os.pidfd_open(process)
    loop.add_reader(descriptor, lambda: None if ended.done() else ended.set_result(None))
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
