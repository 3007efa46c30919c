"""Run the service: the keeper in this process, and its child that serves, until SIGTERM or SIGINT."""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from capture.cgroup import open_hierarchy
from capture.entrances import Entrances, privileged_ports
from capture.load.programs import CaptureUnavailable
from capture.service.keeper import CaptureKeeper, Warn
from capture.service.peer import JoinRefused, peer_process
from capture.service.server import ALIVE, JOIN, READY, RELOAD, STOP, CaptureServer
from capture.service.settings import CaptureSettings
from runtime.capabilities import BPF, NET_ADMIN, NET_RAW, keep_only_capabilities
from runtime.heap import keep_freed_memory
from runtime.systemd import Watchdog, notify_systemd
from smkex.client.events import Observer
from smkex.transport.event_loop import run_in_reactor

REFRESH = 1000  # milliseconds between looks at control groups
SILENCE_LIMIT = 20.0  # seconds without a sign of the child until systemd's watchdog is no longer fed
STOP_TIMEOUT = 10.0  # seconds for the child to end
BACKLOG = 128


class ServingEnded(Exception):
    """The child has ended by itself."""


def run_service(settings: CaptureSettings, on_event: Observer, warn: Warn) -> None:
    """Serve until stopped, and remove everything.

    Raises `CaptureUnavailable`, and `ServingEnded` where what is captured stays refused; OSError.
    """
    root = open_hierarchy()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listening_socket(settings.socket))
        keeper = CaptureKeeper(settings, root, warn)
        channel: socket.socket | None = None
        try:
            with Entrances(privileged_ports()) as entrances:
                server = CaptureServer(settings, keeper.maps, entrances, listener, on_event, warn)
                keeper.take_over(entrances.streams_port, entrances.resolver_port)
                channel, child = _start_child(keeper, server, settings.connect.transport)
            listener.close()
            stack.enter_context(channel)
            _keep(keeper, channel, child, warn)
        except ServingEnded:
            raise
        except BaseException:
            if not keeper.replaces_previous and channel is None:
                keeper.remove_everything()
            raise
        keeper.remove_everything()
        settings.socket.unlink(missing_ok=True)


@contextlib.contextmanager
def _listening_socket(path: Path) -> Iterator[socket.socket]:
    """Listen for users; the folder is locked, so that one service at a time is there. Raises `CaptureUnavailable`."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CaptureUnavailable(f"another capture service has {path.parent}") from None
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
            listener.bind(str(path))
            path.chmod(0o666)
            listener.listen(BACKLOG)
            yield listener
    finally:
        os.close(folder)


def _start_child(keeper: CaptureKeeper, server: CaptureServer, transport: str) -> tuple[socket.socket, int]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child:
        theirs.close()
        return ours, child
    status = 1
    try:
        ours.close()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the keeper says when to stop
        assert keeper.serving is not None
        os.write(keeper.serving.join_descriptor, b"0\n")
        keep_only_capabilities(*((BPF, NET_ADMIN, NET_RAW) if transport == "mptcp" else (BPF,)))
        keep_freed_memory()
        run_in_reactor(server.serve(theirs))
        status = 0
    except BaseException as error:
        print(f"the serving process failed: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def _keep(keeper: CaptureKeeper, channel: socket.socket, child: int, warn: Warn) -> None:
    """Serve the child's requests until a signal to stop. Raises `ServingEnded`."""
    watchdog, last_sign, next_refresh = Watchdog(), time.monotonic(), 0.0
    with _signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        changes = select.poll()
        changes.register(channel, select.POLLIN)
        changes.register(signals, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in changes.poll(REFRESH)}
            if channel.fileno() in ready:
                _serve_child(keeper, channel, child)
                last_sign = time.monotonic()
            for number in os.read(signals, 64) if signals in ready else b"":
                if number == signal.SIGHUP:
                    channel.send(RELOAD)
                else:
                    notify_systemd("STOPPING=1")
                    _stop_child(channel, child, warn)
                    return
            if time.monotonic() >= next_refresh:
                next_refresh = time.monotonic() + REFRESH / 1000
                keeper.refresh()
            if time.monotonic() - last_sign < SILENCE_LIMIT:
                watchdog.feed()


def _serve_child(keeper: CaptureKeeper, channel: socket.socket, child: int) -> None:
    try:
        message, descriptors, _, _ = socket.recv_fds(channel, 64, 1)
    except ConnectionError:
        message, descriptors = b"", []
    try:
        if not message:
            _, status = os.waitpid(child, 0)
            raise ServingEnded(
                f"the serving process ended with status {os.waitstatus_to_exitcode(status)}:"
                " captured addresses are refused until the service runs again"
            )
        if message == READY:
            notify_systemd("READY=1")
        elif message == JOIN:
            channel.send(_move_peer(keeper, descriptors[0]))
        else:
            assert message == ALIVE
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _move_peer(keeper: CaptureKeeper, descriptor: int) -> bytes:
    try:
        with (
            socket.socket(fileno=os.dup(descriptor)) as user,
            peer_process(user) as peer,
        ):
            return json.dumps({"group": keeper.move_into_group(peer)}).encode()
    except JoinRefused as error:
        return json.dumps({"error": str(error), "hint": error.hint}).encode()


def _stop_child(channel: socket.socket, child: int, warn: Warn) -> None:
    with contextlib.suppress(OSError):
        channel.send(STOP)
    descriptor = os.pidfd_open(child)
    try:
        changes = select.poll()
        changes.register(descriptor, select.POLLIN)
        if not changes.poll(STOP_TIMEOUT * 1000):
            warn(f"the serving process did not end within {STOP_TIMEOUT:g} s: killed")
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(descriptor)
    os.waitpid(child, 0)


@contextlib.contextmanager
def _signals(*numbers: signal.Signals) -> Iterator[int]:
    """Yield a descriptor from which the numbers of arriving signals are read."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing)
    usual = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in usual.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)
