"""`sennit run` beside its program: signals, descriptors, exit status, and what is left to send at the end."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from capture_service import CaptureService
from running_streams import STREAM_HOST, StreamService, running_streams

from lab.emulation.impairment import Impairment
from lab.emulation.namespace import SlowLink
from lab.namespace.place import LabFolder
from lab.topology import LAB, SERVICE_NAME
from lab.wait import wait_for

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

WAYS = {"run": ("--host", f"*.{SERVICE_NAME}", "--host", SERVICE_NAME), "service": ("--through-service",)}
SENT = 3 << 20
RATE = 1e6  # bits a second of each path: what was sent takes longer than FLUSH_TIMEOUT


@pytest.fixture(params=WAYS)
def start(
    request: pytest.FixtureRequest, captured: CaptureService
) -> Callable[..., "subprocess.Popen[bytes]"]:
    """Start a program both ways: without and through the service; `ignored` is what the caller ignores.

    Whatever this process ignores: tests may run in the background, or by nohup.
    """

    def start_program(*program: str, ignored: str = "") -> "subprocess.Popen[bytes]":
        uid = {"uid": 0} if request.param == "run" else {}
        handling = ("--default-signal", *([f"--ignore-signal={ignored}"] if ignored else []))
        command = ("sennit", "run", *WAYS[request.param], "--", *program)
        return captured.start_program("env", *handling, *command, **uid)

    return start_program


def read_line(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 60)[0], "it says nothing"
    return process.stdout.readline().decode().strip()


@pytest.mark.parametrize("name", ["INT", "QUIT", "TERM", "HUP", "USR1", "USR2"])
def test_a_signal_of_another_process_is_passed_on(
    start: Callable[..., "subprocess.Popen[bytes]"], name: str
) -> None:
    script = f"trap 'echo got {name}; exit 6' {name}; echo started; while :; do read -t 1 line; done"
    with start("bash", "-c", script) as running:
        assert read_line(running) == "started"
        running.send_signal(getattr(signal, f"SIG{name}"))
        assert read_line(running) == f"got {name}"
        running.communicate(timeout=30)
    assert running.returncode == 6


def test_what_the_caller_ignores_is_ignored(start: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    with start("bash", "-c", "echo started; read line; echo $line", ignored="HUP,INT,CHLD") as running:
        assert read_line(running) == "started"
        running.send_signal(signal.SIGHUP)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(b"survived\n", timeout=30)
    assert (running.returncode, out) == (0, b"survived\n"), err


def test_an_end_that_the_program_closes_is_closed(start: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    script = "echo started; exec sleep 600 <&- >&-"
    with start("bash", "-c", script) as running:
        assert running.stdout is not None
        assert running.stdin is not None
        assert running.stdout.read() == b"started\n"  # its end, while the program goes on

        def is_broken() -> bool:
            assert running.stdin is not None
            try:
                os.write(running.stdin.fileno(), b"x")
            except BrokenPipeError:
                return True
            return False

        wait_for("standard input to be closed", is_broken, 20)
        running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 128 + signal.SIGTERM


@pytest.fixture
def slow_paths(place: LabFolder) -> Iterator[None]:
    links = [SlowLink(place, LAB, link) for link in LAB.links if "phone" in link.name.split("-")]
    for link in links:
        link.set(Impairment(rate=RATE))
    try:
        yield
    finally:
        for link in links:
            link.clear()


@pytest.fixture
def streams(place: LabFolder, tmp_path: Path) -> Iterator[StreamService]:
    with running_streams(place, tmp_path / "log") as running:
        yield running


def test_what_an_ended_program_has_sent_arrives_over_slow_paths(
    captured: CaptureService, streams: StreamService, slow_paths: None
) -> None:
    script = f"exec 3<>/dev/tcp/{STREAM_HOST}/7; (echo count; head -c {SENT} /dev/zero) >&3; echo ended"
    with captured.start_program("sennit", "run", *WAYS["run"], "--", "bash", "-c", script, uid=0) as running:
        assert read_line(running) == "ended"
        ended = time.monotonic()
        _, err = running.communicate(timeout=120)
    assert (running.returncode, err) == (0, b"")
    assert streams.wait_for_end("count", 0) == SENT
    assert time.monotonic() - ended > 10, "too fast to show anything"
