"""A program of a user without root under capture: this process asks the service, is moved, and starts it."""

import contextlib
import json
import os
import select
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from capture.descriptors import release_descriptors
from capture.program import execute_program, exit_status
from capture.service.settings import DEFAULT_SOCKET, SOCKET_VARIABLE
from capture.signals import PassedSignals

JOIN_TIMEOUT = 30.0  # seconds for the service to answer
ANSWER_LIMIT = 16 << 20  # bytes

ShowEvent = Callable[[dict[str, Any]], None]


class CaptureServiceError(Exception):
    """The service does not capture this program; the text says why, `hint` what to do."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


def service_socket() -> Path:
    """Return where the service listens, whether it is there or not."""
    return Path(os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET)


def read_service_sessions() -> list[dict[str, Any]]:
    """Return the path reports of this user's captured programs; none without a service. Raises OSError, ValueError."""
    try:
        channel = _connect()
    except (FileNotFoundError, ConnectionRefusedError):
        return []
    with channel:
        answer = _ask_service(channel, {"command": "sessions"})
    return answer if isinstance(answer, list) else []


def run_through_service(command: Sequence[str], hosts: Sequence[str], show_event: ShowEvent) -> int:
    """Run the program under the service's capture and return its exit status.

    `show_event` gets each event of its connections. Raises `CaptureServiceError`, `ProgramNotExecuted`.
    """
    try:
        channel = _connect()
    except OSError as error:
        raise CaptureServiceError(
            f"no capture service at {service_socket()}: {error.strerror}",
            "an administrator starts it: systemctl enable --now sennit-capture",
        ) from None
    with channel:
        _join_service(channel, hosts)
        with PassedSignals() as signals:
            program = execute_program(command, signals.restore)
            release_descriptors()
            _follow_program(program, channel, signals, show_event)
            return exit_status(program.wait())


def _connect() -> socket.socket:
    channel = socket.socket(socket.AF_UNIX)
    try:
        channel.settimeout(JOIN_TIMEOUT)
        channel.connect(str(service_socket()))
    except BaseException:
        channel.close()
        raise
    return channel


def _join_service(channel: socket.socket, hosts: Sequence[str]) -> None:
    """Have this process moved into a captured group. Raises `CaptureServiceError`."""
    namespace = os.stat("/proc/self/ns/net").st_ino
    try:
        answer = _ask_service(channel, {"command": "join", "hosts": list(hosts), "namespace": namespace})
    except (OSError, ValueError) as error:
        raise CaptureServiceError(f"the capture service did not answer: {error}") from None
    if not isinstance(answer, dict) or not answer.get("joined"):
        found = answer if isinstance(answer, dict) else {}
        raise CaptureServiceError(str(found.get("error", "no answer")), str(found.get("hint", "")))


def _ask_service(channel: socket.socket, request: dict[str, Any]) -> Any:
    """Raises OSError, ValueError."""
    channel.sendall(json.dumps(request).encode() + b"\n")
    received = bytearray()
    while not received.endswith(b"\n"):
        data = channel.recv(
            1 if request["command"] == "join" else 1 << 16
        )  # events follow the answer to join
        if not data or len(received) > ANSWER_LIMIT:
            raise ValueError("the answer is not whole")
        received += data
    return json.loads(received)


def _follow_program(
    program: "subprocess.Popen[bytes]", channel: socket.socket, signals: PassedSignals, show_event: ShowEvent
) -> None:
    """Show events and pass signals until the program has ended; without the service its connections are refused."""
    descriptor = os.pidfd_open(program.pid)
    events = _EventLines(channel, show_event)
    changes = select.poll()
    changes.register(descriptor, select.POLLIN)
    changes.register(channel, select.POLLIN)
    changes.register(signals.descriptor, select.POLLIN)
    try:
        while descriptor not in (ready := {one for one, _ in changes.poll()}):
            for received in signals.read():
                if not received.by_kernel:
                    program.send_signal(received.number)
            if channel.fileno() in ready and not events.read_some():
                changes.unregister(channel)
                text = "the capture service has ended: connections are refused until it returns"
                show_event({"event": {"event": "Failed"}, "text": text})
        with contextlib.suppress(OSError):  # the service answers with its last events, and closes
            channel.shutdown(socket.SHUT_WR)
            while events.read_some():
                pass
    finally:
        os.close(descriptor)


class _EventLines:
    """Reads the events that the service writes, one a line."""

    def __init__(self, channel: socket.socket, show_event: ShowEvent) -> None:
        self._channel, self._show = channel, show_event
        self._received = b""

    def read_some(self) -> bool:
        """Wait for data and show the events in it; False at the end. Raises OSError."""
        data = self._channel.recv(1 << 16)
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._show(json.loads(line))
        return bool(data)
