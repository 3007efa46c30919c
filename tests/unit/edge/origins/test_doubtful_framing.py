"""A response whose end is in doubt is given to the client that asked, and never stored; a cut one never looks whole."""

import asyncio
from pathlib import Path

import httpx
import pytest
from loopback import until
from scripted_server import Asked, ScriptedServer, answer
from served_cache import served

FRESH = b"cache-control: max-age=600\r\n"
CHUNKS = b"4\r\nbody\r\n0\r\n\r\n"
IN_DOUBT = {
    "a coding in HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + FRESH + b"transfer-encoding: chunked\r\n\r\n" + CHUNKS,
    "a coding in HTTP/1.0, kept": b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n"
    + FRESH
    + b"transfer-encoding: chunked\r\n\r\n"
    + CHUNKS,
    "a length before a coding": b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n"
    + FRESH
    + b"transfer-encoding: chunked\r\n\r\n"
    + CHUNKS,
    "a length behind a coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
    + FRESH
    + b"content-length: 14\r\n\r\n"
    + CHUNKS,
}


@pytest.mark.parametrize("said", IN_DOUBT.values(), ids=IN_DOUBT)
async def test_what_is_in_doubt_is_not_stored_and_its_connection_closed(tmp_path: Path, said: bytes) -> None:
    origin = ScriptedServer(lambda asked: [said])
    async with served(tmp_path, origin) as (worker,):
        for _ in range(3):
            given = await worker.get()
            assert (given.status_code, given.content) == (200, b"body")
            assert "stored" not in given.headers["cache-status"]
        await asyncio.gather(*(worker.get() for _ in range(3)))
    assert len(origin.asked) == 6, "each asked for itself"
    assert origin.connections == 6


async def test_a_304_in_doubt_renews_nothing(tmp_path: Path) -> None:
    def script(asked: Asked) -> list[bytes]:
        if "if-none-match" not in asked.fields:
            return [answer("body", "cache-control: max-age=0", 'etag: "1"')]
        return [b"HTTP/1.0 304 Not Modified\r\ntransfer-encoding: chunked\r\n" + FRESH + b'etag: "1"\r\n\r\n']

    origin = ScriptedServer(script)
    async with served(tmp_path, origin) as (worker,):
        for _ in range(3):
            assert (await worker.get()).content == b"body"
    assert len(origin.asked) == 3


CUT = {
    "chunks": b"HTTP/1.1 200 OK\r\n" + FRESH + b"transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n",
    "within a chunk": b"HTTP/1.1 200 OK\r\n" + FRESH + b"transfer-encoding: chunked\r\n\r\n9\r\nbody",
    "a length": answer(b"body", FRESH.decode().strip(), length=9),
    "an invalid chunk": b"HTTP/1.1 200 OK\r\n"
    + FRESH
    + b"transfer-encoding: chunked\r\n\r\n4\r\nbody\r\nx\r\n",
}


class ClosingServer(ScriptedServer):
    """Closes each connection behind its answer."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        self.asked.append(Asked("GET", "", {}))
        writer.writelines(self.script(self.asked[-1]))  # type: ignore[arg-type]
        await writer.drain()
        await asyncio.sleep(0.05)  # the client has the head by then
        writer.close()


@pytest.mark.parametrize("said", CUT.values(), ids=CUT)
async def test_a_cut_body_never_looks_whole_and_is_not_stored(tmp_path: Path, said: bytes) -> None:
    origin = ClosingServer(lambda asked: [said])
    async with served(tmp_path, origin) as (worker,):
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                await worker.get()
        assert len(origin.asked) == 2, "nothing was stored"


@pytest.mark.parametrize("line", [b"4 ; a=b", b"4\t;\ta", b'4 ; a = "b"', b"4 "])
async def test_white_space_before_an_extension_does_not_cut_the_body(tmp_path: Path, line: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + FRESH + b"transfer-encoding: chunked\r\n\r\n"
    origin = ScriptedServer(
        lambda asked: [head + line + b"\r\nbody\r\n" + line + b"\r\nmore\r\n0 ;x\r\n\r\n"]
    )
    async with served(tmp_path, origin) as (worker,):
        for _ in range(2):
            assert (await worker.get()).content == b"bodymore"
        await until(lambda: not worker.proxy.fetches.busy)
        assert (await worker.client.post("/b", content=b"x")).content == b"bodymore"
    assert (len(origin.asked), origin.connections) == (2, 1), "stored, and the connection is kept"


async def test_extensions_without_end_are_a_failure(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + FRESH + b"transfer-encoding: chunked\r\n\r\n"
    chunk = b"1;x=" + b"y" * 5000 + b"\r\na\r\n"
    origin = ScriptedServer(lambda asked: [head, *[chunk] * 40, b"0\r\n\r\n"])
    async with served(tmp_path, origin) as (worker,):
        with pytest.raises(httpx.RemoteProtocolError):
            await worker.get()
