"""Over random traffic, each request that begins has one line, and the figures are what the lines add up to."""

import asyncio
import contextlib
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from loopback import until
from scripted_server import Asked, ScriptedServer, answer
from served_cache import Worker, served

from edge.telemetry.access_log.access_log import AccessLog
from edge.telemetry.access_log.file_sink import FileSink
from edge.telemetry.access_log.json_lines import JsonLines
from edge.telemetry.access_log.writer import LogWriter
from edge.telemetry.figures import add_counts

CLIENTS, REQUESTS = 6, 25
BODY = b"x" * 3000


async def origin_script(asked: Asked) -> list[bytes]:
    if asked.target.startswith("/slow"):
        await asyncio.sleep(0.02)
    if asked.target.startswith("/fail"):
        return [answer(BODY, status="503 Service Unavailable")]
    if asked.target.startswith("/cut"):
        raise ConnectionResetError  # the server closes the connection
    if asked.method == "HEAD":
        return [answer(b"", length=len(BODY))]
    return [
        answer(BODY, "cache-control: max-age=600" if "cached" in asked.target else "cache-control: no-store")
    ]


def random_request(choice: random.Random) -> bytes:
    kind = choice.randrange(9)
    path = choice.choice([b"/cached/1", b"/cached/2", b"/private", b"/slow/cached/3", b"/fail", b"/cut"])
    if kind == 0:
        return b"POST %s HTTP/1.1\r\nHost: cdn\r\nContent-Length: 100\r\n\r\n%s" % (path, bytes(100))
    if kind == 1:
        return b"HEAD %s HTTP/1.1\r\nHost: cdn\r\n\r\n" % path
    if kind == 2:
        return b"GET %s HTTP/1.1\r\nHost: cdn\r\nRange: bytes=0-9\r\n\r\n" % path
    if kind == 3:
        return b"GET %s HTTP/1.1\r\n\r\n" % path  # no Host: refused by the HTTP server
    if kind == 4:
        return b"TRACE %s HTTP/1.1\r\nHost: cdn\r\n\r\n" % path
    return b"GET %s HTTP/1.1\r\nHost: cdn\r\n\r\n" % path


async def read_response(reader: asyncio.StreamReader, method: bytes) -> tuple[int, str, int]:
    """Return status, request id and bytes of the body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
    status, size = int(head[0].split()[1]), int(fields.get("content-length", "0"))
    if method == b"HEAD" or status in (204, 304):
        size = 0
    await reader.readexactly(size)
    return status, fields["x-request-id"], size


async def run_client(one: Worker, choice: random.Random, seen: list[tuple[int, str, int]]) -> int:
    """Send requests one after another; return how many were given up before their answer."""
    given_up = 0
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    for _ in range(REQUESTS):
        if connection is None:
            connection = await asyncio.open_connection("127.0.0.1", one.port)
        reader, writer = connection
        request = random_request(choice)
        writer.write(request)
        if choice.random() < 0.1:
            await writer.drain()
            await asyncio.sleep(0.005)
            writer.close()
            given_up, connection = given_up + 1, None
            continue
        try:
            seen.append(await read_response(reader, request.split(b" ")[0]))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise AssertionError(f"no answer to {request!r}") from None
        if reader.at_eof() or seen[-1][0] == 400:
            writer.close()
            connection = None
    if connection is not None:
        connection[1].close()
    return given_up


def total_of(workers: list[Worker]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for one in workers:
        for counts in one.telemetry.figures.as_counts().values():
            total = add_counts(total, counts)
    return total


@pytest.mark.parametrize("seed", range(3))
async def test_lines_and_figures_add_up_to_what_was_sent(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)
    path = tmp_path / "log"
    log = AccessLog(JsonLines(), LogWriter(FileSink(path)))
    origin, seen = ScriptedServer(origin_script), list[tuple[int, str, int]]()
    async with served(tmp_path / "cache", origin, workers=2, log=log) as workers:
        clients = [
            run_client(choice.choice(workers), random.Random(f"{seed} {n}"), seen) for n in range(CLIENTS)
        ]
        given_up = sum(await asyncio.gather(*clients))
        with contextlib.suppress(TimeoutError):
            await until(lambda: total_of(workers)["requests"] == CLIENTS * REQUESTS)
        await until(lambda: log.counts()["written"] == total_of(workers)["requests"])
    total = total_of(workers)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    by_id = {line["request_id"]: line for line in lines}
    assert len(lines) == len(by_id) == total["requests"] == CLIENTS * REQUESTS
    for status, request_id, size in seen:
        line = by_id.pop(request_id)
        assert (line["status"], line["bytes_out"], line["complete"]) == (status, size, True)
    assert len(by_id) == given_up  # none of what was answered is missing, and what was given up is there once
    assert total["hits"] == sum(line["hit"] for line in lines) > 0
    assert total["bytes_out"] == sum(line["bytes_out"] for line in lines)
    assert total["bytes_in"] == sum(line["bytes_in"] for line in lines)
    assert total["incomplete"] == sum(not line["complete"] for line in lines)
    classes = Counter(0 if line["status"] == 499 else line["status"] // 100 for line in lines)
    assert total["statuses"] == [classes[number] for number in range(6)]
    assert total["origin_requests"] >= len(origin.asked)  # one that was given up may not have arrived
    assert 0 < total["origin_failures"] < total["origin_requests"]
