"""What users ask the capture service, and what it answers."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from capture.names import Address, CapturedNames
from capture.service.settings import CaptureSettings
from capture.service.user_socket import SPARE, UserSocket
from smkex.client.events import Failed, Observer
from smkex.client.options import ConnectOptions

NAMESPACE = os.stat("/proc/self/ns/net").st_ino


class FakePrograms:
    """Sessions, and commands that wait for events."""

    def __init__(self) -> None:
        self.observers: dict[int, Observer] = {}

    def list_sessions(self, uid: int) -> list[dict[str, Any]]:
        return [{"host": "cdn.lab", "uid": uid}]


async def resolve(name: str) -> tuple[Address, ...]:
    return (ip_address("203.0.113.1"),)


@asynccontextmanager
async def served(path: Path, answer: dict[str, Any]) -> AsyncIterator[FakePrograms]:
    programs = FakePrograms()
    settings = CaptureSettings(read_hosts=list, connect=ConnectOptions(known_hosts=None), user_programs=1)
    names = CapturedNames(["*.lab", "cdn.example"], resolve, lambda _: None)

    async def join(_: socket.socket) -> dict[str, Any]:
        return answer

    users = UserSocket(settings, names, programs, join)  # type: ignore[arg-type]
    server = await asyncio.start_unix_server(users.serve_user, path)
    try:
        yield programs
    finally:
        server.close()


async def ask(path: Path, request: object) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(json.dumps(request).encode() + b"\n")
    answer = await reader.readline()
    writer.close()
    return dict(json.loads(answer))


def join_request(*hosts: str, namespace: int = NAMESPACE) -> dict[str, Any]:
    return {"command": "join", "hosts": list(hosts), "namespace": namespace}


async def test_a_program_joins_for_hosts_that_the_service_captures(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with served(path, {"group": 7}):
        assert await ask(path, join_request("cdn.lab", "CDN.example.")) == {"joined": True}
        refused = await ask(path, join_request("cdn.lab", "other.example"))
        assert refused["error"] == "the capture service does not capture other.example"
        assert "namespace" in (await ask(path, join_request(namespace=1)))["error"]
        for hosts in ("cdn.lab", None, [1], ["not a host"]):
            assert "error" in await ask(path, {**join_request(), "hosts": hosts})
        assert "no such command" in (await ask(path, {"command": "leave"}))["error"]
        assert "no such command" in (await ask(path, [1]))["error"]


async def test_the_keepers_refusal_is_passed_on(tmp_path: Path) -> None:
    refusal = {"error": "user 1 has 1 captured programs already", "hint": "more"}
    async with served(tmp_path / "socket", refusal):
        assert await ask(tmp_path / "socket", join_request()) == refusal


async def test_a_command_gets_the_events_of_its_group_until_it_ends(tmp_path: Path) -> None:
    async with served(tmp_path / "socket", {"group": 7}) as programs:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
        writer.write(json.dumps(join_request()).encode() + b"\n")
        assert json.loads(await reader.readline()) == {"joined": True}
        programs.observers[7](Failed("cdn.lab", "TimedOut", "no answer", ""))
        line = json.loads(await reader.readline())
        assert (line["event"]["error"], line["text"]) == ("TimedOut", "cdn.lab: TimedOut: no answer")
        writer.write_eof()
        assert await reader.read() == b""
        assert programs.observers == {}
        writer.close()


async def test_sessions_are_the_users_own_and_its_connections_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with served(path, {"group": 7}):
        held = [await asyncio.open_unix_connection(path) for _ in range(1 + SPARE)]
        assert "too many connections" in (await ask(path, {"command": "sessions"}))["error"]
        for _, writer in held:
            writer.close()
        reader, writer = await asyncio.open_unix_connection(path)
        while True:  # until those that were closed are gone
            writer.write(b'{"command": "sessions"}\n')
            answer = json.loads(await reader.readline())
            writer.close()
            if isinstance(answer, list):
                break
            reader, writer = await asyncio.open_unix_connection(path)
        assert answer == [{"host": "cdn.lab", "uid": os.geteuid()}]


@pytest.mark.parametrize(
    "line",
    [b"not json", b"", b"\xff", b"[" * 60_000, b'"' + b"x" * (1 << 18)],
    ids=["words", "nothing", "no text", "nested", "too long"],
)
async def test_what_is_no_request_is_refused(tmp_path: Path, line: bytes) -> None:
    async with served(tmp_path / "socket", {"group": 7}):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
        writer.write(line + b"\n")
        assert json.loads(await reader.readline())["error"] == "not a line of JSON"
        writer.close()
