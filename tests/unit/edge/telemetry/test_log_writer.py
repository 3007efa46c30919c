"""The access log's writer: rotation, a full disk, receivers that hang or are gone. Lines are lost, and counted."""

import asyncio
import os
import socket
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from loopback import until

from edge.config.settings import EdgeSettings
from edge.telemetry.access_log import writer as writer_module
from edge.telemetry.access_log.access_log import BATCH_RECORDS, QUEUE_RECORDS, AccessLog
from edge.telemetry.access_log.file_sink import FileSink
from edge.telemetry.access_log.json_lines import JsonLines
from edge.telemetry.access_log.open_log import open_access_log
from edge.telemetry.access_log.socket_sink import SocketSink, journal_entry
from edge.telemetry.access_log.writer import LineSink, LogWriter


class Lines:
    """A format for records that are lines already."""

    def format_lines(self, records: list[object]) -> bytes:
        return b"".join([b"%s\n" % record for record in records])  # type: ignore[str-bytes-safe]


def log_to(sink: LineSink, limit: int = QUEUE_RECORDS) -> AccessLog:
    return AccessLog(Lines(), LogWriter(sink), limit=limit)  # type: ignore[arg-type]


def put(log: AccessLog, first: int, count: int) -> None:
    for number in range(first, first + count):
        log.append(b"%d" % number)  # type: ignore[arg-type]


async def test_lines_arrive_in_order_in_batches(tmp_path: Path) -> None:
    log = log_to(FileSink(tmp_path / "log"))
    put(log, 0, 5000)
    await until(lambda: log.counts()["written"] == 5000)
    put(log, 5000, 10)
    await log.close()
    assert (tmp_path / "log").read_text().split() == [str(number) for number in range(5010)]
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640
    assert log.counts() == {"written": 5010, "lost": {}}


@pytest.mark.parametrize("asked", [True, False])
async def test_a_rotated_file_is_left_whether_or_not_a_signal_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    monkeypatch.setattr("edge.telemetry.access_log.file_sink.CHECK_SECONDS", 60.0 if asked else 0.0)
    path, rotated = tmp_path / "log", tmp_path / "log.1"
    log = log_to(FileSink(path))
    put(log, 0, 3)
    await until(lambda: log.counts()["written"] == 3)
    path.rename(rotated)
    if asked:
        log.reopen()
        await until(path.exists)
    put(log, 3, 3)
    await log.close()
    assert (rotated.read_text(), path.read_text()) == ("0\n1\n2\n", "3\n4\n5\n")


async def test_a_name_that_cannot_be_opened_again_costs_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.telemetry.access_log.file_sink.CHECK_SECONDS", 0.0)
    folder = tmp_path / "logs"
    folder.mkdir()
    log = log_to(FileSink(folder / "log"))
    folder.rename(tmp_path / "moved")
    put(log, 0, 3)
    await log.close()
    assert (tmp_path / "moved" / "log").read_text() == "0\n1\n2\n"


async def test_a_full_disk_costs_lines_which_are_counted(tmp_path: Path) -> None:
    log = log_to(FileSink(Path("/dev/full")))
    put(log, 0, 100)
    await log.close()
    assert log.counts() == {"written": 0, "lost": {"write-failed": 100}}


async def test_a_line_that_was_torn_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "log", os.write
    log = log_to(FileSink(path))

    def full_after_five(descriptor: int, data: bytes) -> int:
        if len(data) > 5:
            return write(descriptor, data[:5])
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("edge.telemetry.access_log.file_sink.os.write", full_after_five)
        put(log, 100, 3)
        await until(lambda: log.counts()["lost"])
    put(log, 200, 2)
    await log.close()
    assert log.counts() == {"written": 4, "lost": {"write-failed": 1}}
    assert path.read_text().split("\n") == ["100", "101", "10", "200", "201", ""]


async def test_a_reader_of_a_pipe_that_hangs_costs_lines_and_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.telemetry.access_log.file_sink.WRITE_SECONDS", 0.05)
    monkeypatch.setattr(writer_module, "WAITING_BYTES", 100_000)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = log_to(FileSink(pipe))
    began = time.monotonic()
    put(log, 1_000_000, 30_000)
    assert time.monotonic() - began < 30  # the requests' part of it: a blocked one would never end
    await until(
        lambda: log.counts()["lost"].get("reader-behind") and log.counts()["lost"].get("writer-behind")
    )
    await log.close()
    os.close(reader)
    counts = log.counts()
    assert counts["written"] + sum(counts["lost"].values()) == 30_000


async def test_a_fault_in_formatting_reaches_no_request(tmp_path: Path) -> None:
    handler = Mock()
    asyncio.get_running_loop().set_exception_handler(handler)
    lines = Mock(format_lines=Mock(side_effect=ValueError))
    log = AccessLog(lines, LogWriter(FileSink(tmp_path / "log")))
    put(log, 0, BATCH_RECORDS + 1)  # raises nothing
    await until(lambda: handler.called)


async def test_a_queue_that_is_full_loses_the_newest(tmp_path: Path) -> None:
    log = log_to(FileSink(tmp_path / "log"), limit=10)
    put(log, 0, 25)
    await log.close()
    put(log, 25, 1)
    assert log.counts() == {"written": 10, "lost": {"queue-full": 16}}


async def test_datagrams_reach_a_receiver_that_comes_late_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.telemetry.access_log.socket_sink.CONNECT_SECONDS", 0.0)
    path = str(tmp_path / "socket")
    log = log_to(SocketSink(path))
    put(log, 0, 2)
    await until(lambda: log.counts()["lost"] == {"write-failed": 2})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(5)
        put(log, 2, 2)
        received = [await asyncio.to_thread(receiver.recv, 100) for _ in range(2)]
        assert received == [b"2", b"3"]
    os.unlink(path)
    put(log, 4, 1)
    await until(lambda: log.counts()["lost"] == {"write-failed": 3})
    await log.close()


async def test_a_receiver_that_hangs_loses_lines_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.telemetry.access_log.socket_sink.SEND_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "socket"))
        log = log_to(SocketSink(str(tmp_path / "socket")))
        put(log, 0, 2000)
        await until(lambda: log.counts()["lost"].get("reader-behind"))
        await log.close()
    counts = log.counts()
    assert 0 < counts["written"] < 2000
    assert counts["written"] + sum(counts["lost"].values()) == 2000


async def test_a_line_beyond_a_datagram_costs_itself_only(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "socket"))
        log = log_to(SocketSink(str(tmp_path / "socket"), journal_entry))
        log.append(bytes(1 << 20))  # type: ignore[arg-type]
        log.append(b"short")  # type: ignore[arg-type]
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
    assert JsonLines().format_lines
