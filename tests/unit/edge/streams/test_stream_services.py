"""Services of kind tcp at an edge: the service by its server name, admission, targets, ends, limits, figures."""

import asyncio
import json
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from loopback import LoopbackEdge, until
from many_services import prepare_services
from proxy_protocol import read_paths, read_proxy_header

import smkex
from edge.origins.addresses import OriginAddresses
from edge.services.directory import ServiceDirectory
from edge.streams.stream_services import StreamServices
from edge.telemetry.access_log.access_log import AccessLog
from edge.telemetry.access_log.file_sink import FileSink
from edge.telemetry.access_log.json_lines import JsonLines
from edge.telemetry.access_log.writer import LogWriter
from edge.telemetry.telemetry import Telemetry
from services.published import PublishedService
from smkex.core.errors import AbortCode
from smkex.transport.driver import SessionDriver
from smkex.transport.resolution.discovery import FoundService

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NAME = "ssh.example"


class Deaf(asyncio.Protocol):
    """What stands for HTTP."""


class StreamEdge(LoopbackEdge):
    """A loopback edge with services of kind tcp."""

    def __init__(self, *, allow_loopback: bool = True, log: AccessLog | None = None) -> None:
        super().__init__()
        self.telemetry = Telemetry(1, log)
        self.directory = ServiceDirectory(lambda service: None)  # type: ignore[arg-type,return-value]
        rule = OriginAddresses()
        refusal = (lambda address: None) if allow_loopback else rule.refusal
        self.streams = StreamServices(self.directory, refusal, self.telemetry)

    def publish(self, revision: int = 1, /, **document: Any) -> None:
        service = PublishedService.of("ssh", revision, {"kind": "tcp", "hostnames": [NAME], **document}, {})
        prepared = prepare_services(service)
        assert not prepared.refused
        self.directory.activate(prepared)

    def _serve(self, session: SessionDriver) -> None:
        self.sessions.append(session)
        session.start(self.streams.create_protocol(session) or Deaf())

    async def connect_name(self, name: str = NAME, **options: Any) -> smkex.Connection:
        return await smkex.connect(name, port=self.port, options=replace(self.options, **options))

    @property
    def figures(self) -> dict[str, Any]:
        return self.telemetry.figures.of_service("ssh").as_counts()


@dataclass
class Target:
    port: int
    accepted: list[asyncio.StreamWriter]


@asynccontextmanager
async def target(serve: Serve) -> AsyncIterator[Target]:
    accepted: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        await serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield Target(server.sockets[0].getsockname()[1], accepted)
    finally:
        server.close()
        for writer in accepted:
            writer.transport.abort()


async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"received " + await reader.read(-1))
    writer.write_eof()


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)


@pytest.fixture(autouse=True)
def names_lead_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    async def find(name: str, *_: object) -> FoundService:
        return FoundService((ip_address("127.0.0.1"),))

    # by its module: `smkex.client.connect` is the function
    monkeypatch.setattr(sys.modules["smkex.client.connect"], "find_service", find)


@pytest.fixture
async def edge() -> AsyncIterator[StreamEdge]:
    async with StreamEdge() as running:
        yield running


def at(port: int, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, **more}


async def refusal_of(connection: smkex.Connection) -> int:
    """Return the code that the edge ended the session with."""
    with pytest.raises(smkex.PeerAborted) as caught:
        await asyncio.wait_for(connection.reader.read(-1), 10)
    assert caught.value.authenticated
    return caught.value.peer_code


async def test_the_stream_goes_to_the_target_and_each_direction_ends_by_itself(edge: StreamEdge) -> None:
    async with target(answer_at_the_end) as it:
        edge.publish(targets=[at(it.port)])
        connection = await edge.connect_name("SSH.example")
        connection.writer.write(b"hello")
        connection.writer.write_eof()
        assert await asyncio.wait_for(connection.reader.read(-1), 10) == b"received hello"
        await until(lambda: not edge.streams._open)
        assert edge.figures["requests"] == 1
        assert (edge.figures["bytes_in"], edge.figures["bytes_out"]) == (5, 14)
        assert (edge.figures["origin_requests"], edge.figures["incomplete"]) == (1, 0)


async def test_a_session_of_another_name_or_none_is_http(edge: StreamEdge) -> None:
    edge.publish(targets=[at(9)])
    for name in ("other.example", "127.0.0.1"):
        connection = await edge.connect_name(name)
        await until(lambda: bool(edge.sessions))
        assert isinstance(edge.sessions.pop().get_protocol(), Deaf)
        connection.session.abort()


async def test_the_header_of_the_proxy_protocol_has_both_paths(edge: StreamEdge) -> None:
    header: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def read_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header.set_result(await read_proxy_header(reader))

    async with target(read_header) as it:
        edge.publish(targets=[at(it.port, proxy_protocol=True)], required={"both_paths": True})
        connection = await edge.connect_name()
        found = await asyncio.wait_for(header, 10)
        observed = [path.observed for path in connection.report().paths]
        assert f"{found.source[0]}:{found.source[1]}" == observed[0]
        paths = read_paths(found.values[0xE1])
        assert [f"{host.removeprefix('::ffff:')}:{port}" for _, _, host, port in paths] == observed
        assert found.values[0xE0] == b"opportunistic"
        assert found.values[0xE2] == b"\1"


@pytest.mark.parametrize(
    "document", [{"required": {"modes": ["tofu"]}}, {"access": {"deny": ["127.0.0.0/8"]}}]
)
async def test_who_is_not_admitted_is_refused_before_any_target_is_asked(
    edge: StreamEdge, document: dict[str, Any]
) -> None:
    async with target(hold) as it:
        edge.publish(targets=[at(it.port)], **document)
        assert await refusal_of(await edge.connect_name()) == AbortCode.SERVICE_REFUSED
        assert not it.accepted


async def test_targets_take_turns_and_the_next_is_tried_where_one_does_not_answer(edge: StreamEdge) -> None:
    closed = free_port()
    async with target(answer_at_the_end) as first, target(answer_at_the_end) as second:
        edge.publish(targets=[at(first.port), at(closed), at(second.port)])
        for _ in range(6):
            connection = await edge.connect_name()
            connection.writer.write_eof()
            assert await asyncio.wait_for(connection.reader.read(-1), 10) == b"received "
        assert (len(first.accepted), len(second.accepted)) == (2, 4)
        assert edge.figures["origin_failures"] == 2


async def test_without_any_target_the_session_is_broken_off(edge: StreamEdge) -> None:
    closed = free_port()
    edge.publish(targets=[at(closed)])
    assert await refusal_of(await edge.connect_name()) == AbortCode.CANCELLED
    assert edge.figures["incomplete"] == 1


async def test_a_document_cannot_lead_to_the_edge_itself() -> None:
    async with StreamEdge(allow_loopback=False) as edge, target(hold) as it:
        for host in ("127.0.0.1", "localhost", "169.254.169.254"):
            edge.publish(targets=[{**at(it.port), "host": host}])
            assert await refusal_of(await edge.connect_name()) == AbortCode.CANCELLED
        assert not it.accepted


async def test_a_target_that_breaks_off_breaks_the_session_off(edge: StreamEdge) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half of ")
        await writer.drain()
        await reader.readexactly(1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with target(break_off) as it:
        edge.publish(targets=[at(it.port)])
        connection = await edge.connect_name()
        assert await asyncio.wait_for(connection.reader.readexactly(8), 10) == b"half of "
        connection.writer.write(b"!")
        assert await refusal_of(connection) == AbortCode.CANCELLED


async def test_sessions_beyond_the_limit_of_a_service_are_refused(edge: StreamEdge) -> None:
    async with target(hold) as it:
        edge.publish(targets=[at(it.port)], connections=1)
        await edge.connect_name()
        await until(lambda: len(it.accepted) == 1)
        assert await refusal_of(await edge.connect_name()) == AbortCode.OVERLOADED
        assert len(it.accepted) == 1


async def test_silence_in_both_directions_ends_a_session(edge: StreamEdge) -> None:
    async with target(hold) as it:
        edge.publish(targets=[at(it.port)], idle_timeout=1.0)
        assert await refusal_of(await edge.connect_name()) == AbortCode.CANCELLED


async def test_the_end_of_a_stopping_edge_is_not_taken_for_the_streams(edge: StreamEdge) -> None:
    async with target(hold) as it:
        edge.publish(targets=[at(it.port)])
        await edge.connect_name()
        await until(lambda: len(it.accepted) == 1)
        assert edge.session.breaks_off


async def test_a_session_keeps_its_revision_and_the_next_gets_the_new_one(edge: StreamEdge) -> None:
    async with target(answer_at_the_end) as old, target(answer_at_the_end) as new:
        edge.publish(1, targets=[at(old.port)])
        before = await edge.connect_name()
        await until(lambda: len(old.accepted) == 1)
        edge.publish(2, targets=[at(new.port)])
        after = await edge.connect_name()
        for connection in (before, after):
            connection.writer.write(b"x")
            connection.writer.write_eof()
            assert await asyncio.wait_for(connection.reader.read(-1), 10) == b"received x"
        assert (len(old.accepted), len(new.accepted)) == (1, 1)


async def test_the_bandwidth_of_a_session_is_limited(edge: StreamEdge) -> None:
    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(24_000))
        writer.write_eof()

    async with target(send) as it:
        edge.publish(targets=[at(it.port)], limits={"session_bytes_per_second": 16_000})
        began = time.monotonic()
        connection = await edge.connect_name()
        assert len(await asyncio.wait_for(connection.reader.read(-1), 20)) == 24_000
        assert time.monotonic() - began >= 0.45  # a second's worth at once, the rest at the rate


async def test_each_stream_has_one_line_that_says_why_it_ended_and_the_figures_add_up(tmp_path: Path) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    path = tmp_path / "log"
    log = AccessLog(JsonLines(), LogWriter(FileSink(path)))
    closed = free_port()
    async with (
        StreamEdge(log=log) as edge,
        target(answer_at_the_end) as good,
        target(break_off) as bad,
        target(hold) as held,
    ):

        async def run_stream(ends_with_error: bool = True, **document: Any) -> smkex.Connection:
            edge.publish(**document)
            connection = await edge.connect_name()
            connection.writer.write(b"hello")
            connection.writer.write_eof()
            if ends_with_error:
                await refusal_of(connection)
            else:
                await asyncio.wait_for(connection.reader.read(-1), 10)
            return connection

        whole = await run_stream(ends_with_error=False, targets=[at(good.port)])
        await run_stream(targets=[at(closed)])
        await run_stream(targets=[at(bad.port)])
        await run_stream(targets=[at(good.port)], access={"deny": ["127.0.0.0/8"]})
        await run_stream(targets=[at(held.port)], idle_timeout=1.0)
        edge.publish(targets=[at(held.port)], connections=1)
        leaving = await edge.connect_name()
        await until(lambda: edge.telemetry.figures.open_streams() == {"ssh": 1})
        await refusal_of(await edge.connect_name())
        leaving.session.abort()
        await until(lambda: not edge.streams._open)
        figures = edge.figures
        await edge.telemetry.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["end"] for line in lines] == [
        "whole",
        "no-target",
        "target-broke-off",
        "not-admitted",
        "idle",
        "overloaded",
        "client-broke-off",
    ]
    first = lines[0]
    assert (first["bytes_in"], first["bytes_out"], first["target"]) == (5, 14, f"127.0.0.1:{good.port}")
    assert first["request_id"] == whole.session.established.session_id.hex()
    assert (first["service"], first["server_name"], first["client"]) == ("ssh", NAME, "127.0.0.1")
    assert lines[1]["detail"].startswith(f"127.0.0.1 port {closed}: ")
    assert lines[3]["target"] is None
    assert figures["requests"] == len(lines) == sum(figures["stream_ends"].values())
    assert figures["incomplete"] == len(lines) - 1
    assert figures["statuses"] == [1, 0, 1, 0, 2, 3]
    for name in ("bytes_in", "bytes_out"):
        assert figures[name] == sum(line[name] for line in lines)
    assert edge.telemetry.figures.open_streams() == {}


async def test_a_stream_that_runs_when_the_edge_stops_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    async with (
        StreamEdge(log=AccessLog(JsonLines(), LogWriter(FileSink(path)))) as edge,
        target(hold) as it,
    ):
        edge.publish(targets=[at(it.port)])
        await edge.connect_name()
        await until(lambda: len(it.accepted) == 1)
        await edge.telemetry.close()
    assert [json.loads(line)["end"] for line in path.read_text().splitlines()] == ["edge-stopped"]


async def test_the_edges_own_log_names_service_target_and_client_of_a_failed_stream(
    edge: StreamEdge, caplog: pytest.LogCaptureFixture
) -> None:
    closed = free_port()
    edge.publish(targets=[at(closed)])
    await refusal_of(await edge.connect_name())
    [line] = [each.getMessage() for each in caplog.records if each.name == "edge.streams"]
    assert line.startswith(
        f"stream ended early: service ssh, target 127.0.0.1:{closed}, for 127.0.0.1: no-target: "
    )
