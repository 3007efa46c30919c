"""A 304 or a 206 that no client asked for is a failure of the origin, and is not stored; nor is what a 205 carries."""

from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from served_cache import served

NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\ncache-control: max-age=60\r\n\r\n"


async def test_a_304_without_a_condition_is_an_error(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [NOT_MODIFIED])
    async with served(tmp_path, origin) as (worker,):
        for _ in range(2):
            assert (await worker.get()).status_code == 502
        assert len(origin.asked) == 2, "nothing was stored"


async def test_a_304_to_a_clients_condition_is_passed_on(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [NOT_MODIFIED])
    async with served(tmp_path, origin) as (worker,):
        condition = {"if_none_match": '"1"', "if_match": '"1"'}  # the second is the origin's to judge
        assert (await worker.get("/same", **condition)).status_code == 304


PART = b"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-3/9\r\ncontent-length: 4\r\n\r\npart"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_part_that_no_range_asked_for_is_an_error(tmp_path: Path, method: str) -> None:
    origin = ScriptedServer(lambda asked: [PART])
    async with served(tmp_path, origin) as (worker,):
        for _ in range(2):
            assert (await worker.client.request(method, "/a")).status_code == 502
        assert len(origin.asked) == 2, "nothing was stored"


async def test_a_part_that_a_client_asked_for_is_passed_on(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [PART])
    async with served(tmp_path, origin) as (worker,):
        far = await worker.get("/a", range="bytes=5000000-")
        assert (far.status_code, far.content) == (206, b"part")


@pytest.mark.parametrize("coded", [False, True], ids=["a length", "chunks"])
async def test_a_205_has_no_content(tmp_path: Path, coded: bool) -> None:
    framing = (
        b"transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
        if coded
        else b"content-length: 4\r\n\r\nbody"
    )
    origin = ScriptedServer(lambda asked: [b"HTTP/1.1 205 Reset Content\r\n" + framing])
    async with served(tmp_path, origin) as (worker,):
        for method in ("POST", "GET"):
            answer = await worker.client.request(method, "/a")
            assert (answer.status_code, answer.headers["content-length"], answer.content) == (205, "0", b"")
            assert "transfer-encoding" not in answer.headers
