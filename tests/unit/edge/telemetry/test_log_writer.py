"""The access log's writer: rotation, a full disk, receivers that hang or are gone. Lines are lost, and counted."""

import asyncio
import json
import os
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import until

from edge.config.settings import EdgeSettings
from edge.telemetry.access_log import writer as writer_module
from edge.telemetry.access_log.access_log import BATCH_LINES, AccessLog
from edge.telemetry.access_log.combined_lines import CombinedLines
from edge.telemetry.access_log.fast_hit import FastRequest, HitOutcome
from edge.telemetry.access_log.file_sink import FileSink
from edge.telemetry.access_log.json_lines import JsonLines
from edge.telemetry.access_log.line_format import LineFormat
from edge.telemetry.access_log.open_log import open_access_log
from edge.telemetry.access_log.socket_sink import SocketSink, journal_entry
from edge.telemetry.access_log.writer import LineSink, LogWriter
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.figures import ServiceFigures
from edge.telemetry.request_record import RequestRecord
from edge.telemetry.trace_context import TraceContext


class NumberLog:
    """Lines that are numbers, on their way to a sink."""

    def __init__(self, sink: LineSink) -> None:
        self.writer = LogWriter(sink)

    def put(self, first: int, count: int) -> None:
        for at in range(first, first + count, BATCH_LINES):
            batch = range(at, min(at + BATCH_LINES, first + count))
            self.writer.put_lines(b"".join([b"%d\n" % number for number in batch]), len(batch))
        self.writer.flush()

    def counts(self) -> dict[str, Any]:
        return {"written": self.writer.written, "lost": dict(self.writer.lost)}

    async def close(self) -> None:
        await asyncio.to_thread(self.writer.close)


def hit(log: AccessLog, number: int) -> None:
    """Log an answer of the fast path that has `number` bytes."""
    asked = FastRequest("cdn", "/a", "", "", ServiceFigures("default"))
    log.append_hit(1.8e9, b"%032d" % number, ConnectionFacts(), asked, HitOutcome(200, number, 60))


async def test_lines_arrive_in_order_in_batches(tmp_path: Path) -> None:
    log = AccessLog(JsonLines(), LogWriter(FileSink(tmp_path / "log")))
    for number in range(5000):
        hit(log, number)
    await until(lambda: log.counts()["written"] == 5000)
    for number in range(5000, 5010):
        hit(log, number)
    await log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["bytes_out"] for line in lines] == list(range(5010))
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640
    assert log.counts() == {"written": 5010, "lost": {}}
    hit(log, 5010)
    assert log.counts() == {"written": 5010, "lost": {"writer-behind": 1}}


@pytest.mark.parametrize("asked", [True, False])
async def test_a_rotated_file_is_left_whether_or_not_a_signal_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    monkeypatch.setattr("edge.telemetry.access_log.file_sink.CHECK_SECONDS", 60.0 if asked else 0.0)
    path, rotated = tmp_path / "log", tmp_path / "log.1"
    log = NumberLog(FileSink(path))
    log.put(0, 3)
    await until(lambda: log.counts()["written"] == 3)
    path.rename(rotated)
    if asked:
        log.writer.request_reopen()
        await until(path.exists)
    log.put(3, 3)
    await log.close()
    assert (rotated.read_text(), path.read_text()) == ("0\n1\n2\n", "3\n4\n5\n")


async def test_a_name_that_cannot_be_opened_again_costs_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.telemetry.access_log.file_sink.CHECK_SECONDS", 0.0)
    folder = tmp_path / "logs"
    folder.mkdir()
    log = NumberLog(FileSink(folder / "log"))
    folder.rename(tmp_path / "moved")
    log.put(0, 3)
    await log.close()
    assert (tmp_path / "moved" / "log").read_text() == "0\n1\n2\n"


async def test_a_full_disk_costs_lines_which_are_counted(tmp_path: Path) -> None:
    log = NumberLog(FileSink(Path("/dev/full")))
    log.put(0, 100)
    await log.close()
    assert log.counts() == {"written": 0, "lost": {"write-failed": 100}}


async def test_a_line_that_was_torn_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    log = NumberLog(FileSink(path))

    def full_after_five(descriptor: int, pieces: list[bytes]) -> int:
        data = b"".join(pieces)
        if len(data) > 5:
            return os.write(descriptor, data[:5])
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("edge.telemetry.access_log.file_sink.os.writev", full_after_five)
        log.put(100, 3)
        await until(lambda: log.counts()["lost"])
    log.put(200, 2)
    await log.close()
    assert log.counts() == {"written": 4, "lost": {"write-failed": 1}}
    assert path.read_text().split("\n") == ["100", "101", "10", "200", "201", ""]


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=5), st.lists(st.integers(1, 40_000), max_size=5))
def test_lines_arrive_whole_however_few_bytes_the_kernel_takes(counts: list[int], takes: list[int]) -> None:
    """Batches of any number, also more pieces than writev(2) takes, and short writes among them."""
    batches = [[b"%d\n" % number for number in range(count)] for count in counts]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        sink = FileSink(Path(folder) / "log")
        left = list(takes)

        def take_some(descriptor: int, pieces: list[bytes]) -> int:
            assert len(pieces) <= 1024
            data = b"".join(pieces)
            return os.write(descriptor, data[: left.pop()] if left else data)

        patched.setattr("edge.telemetry.access_log.file_sink.os.writev", take_some)
        for batch in batches:
            sink.write_batches(batch)
        sink.close()
        assert (Path(folder) / "log").read_bytes() == b"".join(b"".join(batch) for batch in batches)


async def test_a_reader_of_a_pipe_that_hangs_costs_lines_and_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.telemetry.access_log.file_sink.WRITE_SECONDS", 0.05)
    monkeypatch.setattr(writer_module, "WAITING_BYTES", 100_000)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = NumberLog(FileSink(pipe))
    began = time.monotonic()
    log.put(1_000_000, 30_000)
    assert time.monotonic() - began < 30  # the requests' part of it: a blocked one would never end
    await until(
        lambda: log.counts()["lost"].get("reader-behind") and log.counts()["lost"].get("writer-behind")
    )
    await log.close()
    os.close(reader)
    counts = log.counts()
    assert counts["written"] + sum(counts["lost"].values()) == 30_000


@pytest.mark.parametrize("lines", [JsonLines(), CombinedLines()])
async def test_a_fault_in_formatting_costs_its_line_alone(tmp_path: Path, lines: LineFormat) -> None:
    log = AccessLog(lines, LogWriter(FileSink(tmp_path / "log")))
    hit(log, 1)
    log.append_hit(
        1e300,
        b"",
        ConnectionFacts(),
        FastRequest("", "/", "", "", ServiceFigures("a")),
        HitOutcome(200, 1, 1),
    )
    trace = TraceContext("0" * 32, "0" * 16)
    record = RequestRecord(ConnectionFacts(), "0" * 32, trace, ServiceFigures("a"), "GET", "cdn", "/", "", "")
    record.started = 1e300
    log.append(record)  # raises nothing
    hit(log, 2)
    await log.close()
    assert log.counts() == {"written": 2, "lost": {"format-failed": 2}}
    assert (tmp_path / "log").read_bytes().count(b"\n") == 2


async def test_datagrams_reach_a_receiver_that_comes_late_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.telemetry.access_log.socket_sink.CONNECT_SECONDS", 0.0)
    path = str(tmp_path / "socket")
    log = NumberLog(SocketSink(path))
    log.put(0, 2)
    await until(lambda: log.counts()["lost"] == {"write-failed": 2})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(5)
        log.put(2, 2)
        received = [await asyncio.to_thread(receiver.recv, 100) for _ in range(2)]
        assert received == [b"2", b"3"]
    os.unlink(path)
    log.put(4, 1)
    await until(lambda: log.counts()["lost"] == {"write-failed": 3})
    await log.close()


async def test_a_receiver_that_hangs_loses_lines_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.telemetry.access_log.socket_sink.SEND_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "socket"))
        log = NumberLog(SocketSink(str(tmp_path / "socket")))
        log.put(0, 2000)
        await until(lambda: log.counts()["lost"].get("reader-behind"))
        await log.close()
    counts = log.counts()
    assert 0 < counts["written"] < 2000
    assert counts["written"] + sum(counts["lost"].values()) == 2000


async def test_a_line_beyond_a_datagram_costs_itself_only(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "socket"))
        log = NumberLog(SocketSink(str(tmp_path / "socket"), journal_entry))
        log.writer.put_lines(bytes(1 << 20) + b"\nshort\n", 2)
        await log.close()
        assert receiver.recv(1000) == b"PRIORITY=6\nSYSLOG_IDENTIFIER=sennit-access\nMESSAGE=short\n"
    assert log.counts() == {"written": 1, "lost": {"too-long": 1}}


async def test_settings_choose_the_log(tmp_path: Path) -> None:
    assert open_access_log(EdgeSettings(_cli_parse_args=[])) is None
    chosen = EdgeSettings(_cli_parse_args=[], access_log=f"file:{tmp_path}/log")
    log = open_access_log(chosen)
    assert log is not None
    await log.close()
    assert (tmp_path / "log").exists()
    with pytest.raises(OSError, match="No such file"):
        open_access_log(EdgeSettings(_cli_parse_args=[], access_log="file:/nowhere/log"))
