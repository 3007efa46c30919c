"""A session of the lab, recorded on the phone: with the key log of `sennit get` the dissector opens it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dissector import dissect

from lab.namespace import daemons
from lab.namespace.place import LabFolder
from lab.topology import VIP
from runtime.errors import ExitStatus

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird", "tshark")


@contextmanager
def recorded(place: LabFolder, capture: Path) -> Iterator[None]:
    """Record what the phone sends and receives by TCP, both paths in one file."""
    command = [
        "tcpdump",
        "-i",
        "any",
        "--immediate-mode",
        "-U",
        "-B",
        "16384",
        "-w",
        str(capture),
        "-Z",
        "root",
        "tcp",
    ]
    tcpdump = subprocess.Popen([*place.enter("phone"), *command], stderr=subprocess.PIPE, text=True)
    try:
        assert tcpdump.stderr is not None
        assert any("listening" in line for line in tcpdump.stderr)
        yield
    finally:
        tcpdump.terminate()
        tcpdump.communicate(timeout=60)


@pytest.fixture
def recording(place: LabFolder, tmp_path: Path) -> tuple[Path, Path]:
    """The recording of a request that the origin answers by 404, and its key log."""
    capture, keys = tmp_path / "session.pcap", tmp_path / "keys"
    command = [daemons.sennit_program(), "get", f"smkex://{VIP}/no-such-file", "--key-log", str(keys)]
    command += ["--path", "cell0", "--path", "wifi0", "--known-hosts", str(tmp_path / "known_hosts")]
    with recorded(place, capture):
        done = subprocess.run([*place.enter("phone"), *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == ExitStatus.HTTP, done.stderr
    return capture, keys


def values(rows: list[list[str]], column: int) -> list[str]:
    return [value for row in rows for value in row[column].split(",") if value]


def test_the_request_and_its_answer_are_opened_by_the_key_log(recording: tuple[Path, Path]) -> None:
    capture, keys = recording
    rows = dissect(capture, keys, "sennit.type", "sennit.path", "sennit.data", "sennit.limit")
    assert {int(kind) for kind in values(rows, 0)} >= {1, 2, 3, 4, 5, 16, 17}
    assert {int(path) for path in values(rows, 1)} == {0, 1}
    stream = b"".join(bytes.fromhex(value) for value in values(rows, 2))
    assert b"GET /no-such-file HTTP/1.1\r\n" in stream
    assert b"HTTP/1.1 404 " in stream
    assert values(rows, 3), "control messages are opened too"


def test_without_it_nothing_of_the_stream_is_shown(recording: tuple[Path, Path]) -> None:
    capture, _ = recording
    rows = dissect(capture, None, "sennit.type", "sennit.data", "sennit.limit")
    assert 16 in {int(kind) for kind in values(rows, 0)}
    assert values(rows, 1) == values(rows, 2) == []
    assert b"no-such-file" not in capture.read_bytes()
