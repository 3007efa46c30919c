"""Connections of captured programs, each in a session: bounded for each user, reported to the user's command."""

import asyncio
from collections.abc import Callable
from typing import Any

from capture.maps import CaptureMaps, DialledTarget
from capture.names import CapturedNames
from capture.service.settings import CaptureSettings
from smkex.client.bounded_sessions import BoundedSessions
from smkex.client.carried_connections import CarriedConnections, SessionTarget
from smkex.client.events import Event, Failed, Observer
from smkex.transport.relay import reset_connection

ProgramKey = tuple[int, int]  # user id, id of the control group


class _CapturedProgram:
    """The connections and sessions of one user's processes in one control group."""

    def __init__(self, settings: CaptureSettings, on_event: Observer) -> None:
        limit = settings.user_connections
        self.sessions = BoundedSessions(settings.connect, on_event, limit)
        self.carried = CarriedConnections(self.sessions, on_event, connections=limit, idle=settings.idle)


class CapturedPrograms:
    """What is open, by user and control group. A program appears with its first connection."""

    def __init__(
        self, settings: CaptureSettings, names: CapturedNames, maps: CaptureMaps, on_event: Observer
    ) -> None:
        self._settings, self._names, self._maps, self._emit = settings, names, maps, on_event
        self._programs: dict[ProgramKey, _CapturedProgram] = {}
        self.observers: dict[int, Observer] = {}  # by control group: commands of users that wait for events

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection to the entrance, or reset it."""
        peer = writer.get_extra_info("peername")
        dialled = self._maps.take_dialled(peer[:2]) if peer else None
        if dialled is None:  # made by no captured program
            reset_connection(writer)
            return
        emit = self._observer((dialled.uid, dialled.group))
        try:
            target = self._admit(dialled)
        except OSError as error:
            emit(Failed(str(dialled.address), type(error).__name__, str(error), ""))
            reset_connection(writer)
            return

        async def find_target(_: object) -> SessionTarget:
            return target

        self._program((dialled.uid, dialled.group)).carried.accept(reader, writer, find_target)

    def list_sessions(self, uid: int) -> list[dict[str, Any]]:
        """Return the path reports of a user's sessions; of all for root."""
        return [
            {"uid": key[0], **report}
            for key, program in self._programs.items()
            if uid in (0, key[0])
            for report in program.sessions.list_sessions()
        ]

    async def stop(self) -> None:
        """Break off every connection."""
        await asyncio.gather(*(program.carried.stop() for program in self._programs.values()))

    def _admit(self, dialled: DialledTarget) -> SessionTarget:
        """Raises OSError."""
        host = self._names.host_at(dialled.address)
        if host is None:
            raise PermissionError("no host claims this address now: its name must be resolved again")
        open_connections = {key: len(program.carried) for key, program in self._programs.items()}
        if sum(open_connections.values()) >= self._settings.connections:
            raise ConnectionRefusedError("the service has too many connections (--max-connections)")
        own = sum(count for (uid, _), count in open_connections.items() if uid == dialled.uid)
        if own >= self._settings.user_connections:
            raise ConnectionRefusedError(
                f"user {dialled.uid} has too many connections (--max-connections-per-user)"
            )
        return SessionTarget(host, self._settings.service_port)

    def _program(self, key: ProgramKey) -> _CapturedProgram:
        if key not in self._programs:
            self._programs = {
                one: program
                for one, program in self._programs.items()
                if len(program.carried) or program.sessions.list_sessions()
            }
            self._programs[key] = _CapturedProgram(self._settings, self._observer(key))
        return self._programs[key]

    def _observer(self, key: ProgramKey) -> Callable[[Event], None]:
        def emit(event: Event) -> None:
            self._emit(event)
            if observer := self.observers.get(key[1]):
                observer(event)

        return emit
