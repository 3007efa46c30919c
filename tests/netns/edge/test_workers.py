"""Several workers: sessions whose subflows arrive anywhere, workers that die, and a reload that loses nothing."""

import asyncio
import hashlib
import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from certificates import identity
from edge_process import EdgeProcess, edge_process, origin
from free_ports import free_port

from node.state.catalogue import DESIRED_STATE
from smkex.client import connect, drains
from smkex.client.connection import Connection
from smkex.client.options import ConnectOptions
from smkex.core.errors import AbortCode, Overloaded, PeerAborted
from smkex.core.wire.messages import Mode


async def open_session(edge: EdgeProcess, **options: Any) -> Connection:
    return await connect(
        "127.0.0.1",
        port=edge.port,
        options=ConnectOptions(
            paths=["lo"], id_port_base=edge.port, allow_shared_path=True, **{"known_hosts": None, **options}
        ),
    )


async def ask(connection: Connection, path: str) -> bytes:
    connection.writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    async with asyncio.timeout(10):
        head = await connection.reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    async with asyncio.timeout(30):
        return await connection.reader.readexactly(length)


async def workers_of(edge: EdgeProcess) -> list[int]:
    children = Path(f"/proc/{edge.process.pid}/task/{edge.process.pid}/children").read_text().split()
    return [
        pid
        for pid in map(int, children)
        if b"edge.server.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


async def until_health(edge: EdgeProcess, **wanted: object) -> None:
    async with asyncio.timeout(60):
        while not wanted.items() <= (await edge.health()).items():
            await asyncio.sleep(0.05)


async def test_sessions_find_their_worker_wherever_their_subflows_arrive(tmp_path: Path) -> None:
    certificate, key = identity(tmp_path, "edge", "127.0.0.1")
    async with origin(b"x" * 100_000) as (upstream, asked):
        options = ["--upstream", upstream, "--workers", "2"]
        options += ["--tls-certificate", str(certificate), "--tls-key", str(key)]
        async with edge_process(tmp_path, *options) as edge:
            assert (await edge.health())["workers"] == 2
            opened = [await open_session(edge) for _ in range(12)]
            opened += [await open_session(edge, mode=Mode.MTLS, authorities=certificate) for _ in range(4)]
            bodies = await asyncio.gather(*(ask(one, "/a") for one in opened))
            assert set(bodies) == {b"x" * 100_000}
            await until_health(edge, sessions=16)
            assert all(len(one.report().paths) == 2 for one in opened)
            assert len(asked) == 1  # for all workers
            for one in opened:
                await one.close()
            assert await edge.stop() == 0


async def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    async with (
        origin() as (upstream, _),
        edge_process(tmp_path, "--upstream", upstream, "--workers", "2") as edge,
    ):
        before = await workers_of(edge)
        os.kill(before[0], signal.SIGKILL)
        async with asyncio.timeout(60):
            while "starting another" not in edge.log.read_text():
                await asyncio.sleep(0.05)
        await until_health(edge, workers=2, status="ok")
        now = await workers_of(edge)
        assert before[0] not in now
        assert before[1] in now
        for _ in range(8):
            connection = await open_session(edge)
            assert await ask(connection, "/a") == b"from the origin"
            await connection.close()


async def test_a_reload_finishes_what_runs_and_takes_new_sessions_meanwhile(tmp_path: Path) -> None:
    body = os.urandom(1 << 20) * 24
    async with (
        origin(body) as (upstream, _),
        edge_process(tmp_path, "--upstream", upstream, "--workers", "2") as edge,
    ):
        running = await open_session(edge)
        running.writer.write(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
        head = await running.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        before = await workers_of(edge)
        edge.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(60):
            while "reloaded" not in edge.log.read_text():
                connection = await open_session(edge)
                assert await ask(connection, "/large") == body
                await connection.close()
        assert not set(before) & set(await workers_of(edge)) or (await edge.health())["finishing"]
        digest, left = hashlib.sha256(), len(body)
        while left:
            async with asyncio.timeout(20):
                data = await running.reader.read(1 << 20)
            assert data
            digest.update(data)
            left -= len(data)
        assert digest.digest() == hashlib.sha256(body).digest()
        await running.close()
        await until_health(edge, workers=2, finishing=0, status="ok")
        assert not set(before) & set(await workers_of(edge))


async def test_a_reload_that_cannot_start_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'2')]})\n"
        "    await send({'type': 'http.response.body', 'body': b'ok'})\n"
    )
    async with edge_process(tmp_path, "--app", "shop:app", "--workers", "1", cwd=tmp_path) as edge:
        before = await workers_of(edge)
        (tmp_path / "shop.py").write_text("syntax error")
        edge.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(60):
            while "keeping the running workers" not in edge.log.read_text():
                await asyncio.sleep(0.05)
        assert await workers_of(edge) == before
        connection = await open_session(edge)
        assert await ask(connection, "/") == b"ok"
        await connection.close()


async def test_their_health_is_one_and_tells_of_the_origin(tmp_path: Path) -> None:
    async with edge_process(tmp_path, "--upstream", "http://127.0.0.1:1", "--workers", "2") as edge:
        await until_health(edge, status="degraded", workers=2)
        assert "origin" in str((await edge.health())["reasons"])


async def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    async with edge_process(tmp_path, "--workers", "2") as edge:
        before = await workers_of(edge)
        edge.process.kill()
        async with asyncio.timeout(20):
            while any(Path(f"/proc/{pid}").exists() for pid in before):
                await asyncio.sleep(0.05)


async def test_without_memory_new_clients_get_overloaded(tmp_path: Path) -> None:
    async with edge_process(tmp_path, "--max-memory-bytes", "1000000") as edge:
        with pytest.raises(PeerAborted) as refused:
            await open_session(edge)
        assert refused.value.peer_code == Overloaded.code


async def test_one_network_cannot_take_all_places(tmp_path: Path) -> None:
    async with origin() as (upstream, _):
        options = ["--upstream", upstream, "--max-sessions-per-prefix", "2"]
        async with edge_process(tmp_path, *options) as edge:
            opened = [await open_session(edge) for _ in range(2)]
            with pytest.raises(PeerAborted) as refused:
                await open_session(edge)
            assert refused.value.peer_code == Overloaded.code
            assert await ask(opened[0], "/a") == b"from the origin"
            for one in opened:
                await one.close()
            await until_health(edge, sessions=0)
            again = await open_session(edge)
            assert await ask(again, "/a") == b"from the origin"
            await again.close()


async def test_a_drain_reaches_every_worker_and_shows_in_health_and_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains, "RETRY_DELAY", 1000.0)  # the client does not try again
    address = f"127.0.0.1:{free_port()}"
    async with (
        origin() as (upstream, _),
        edge_process(tmp_path, "--upstream", upstream, "--workers", "2", "--metrics", address) as edge,
    ):
        running = [await open_session(edge) for _ in range(4)]
        await until_health(edge, sessions=4, sessions_at_service_port=4)
        DESIRED_STATE.write_text(edge.state, '{"admin_state": "draining", "drain": "re-homing"}')
        await until_health(edge, draining=True, sessions=4, sessions_at_service_port=0)
        refused: list[int] = []
        async with asyncio.timeout(60):
            while len(refused) < 8:  # more than enough to meet both workers
                try:
                    await (await open_session(edge)).close()
                except PeerAborted as error:
                    refused.append(error.peer_code)
        assert set(refused) == {AbortCode.DRAINING}
        scraped = await asyncio.to_thread(urllib.request.urlopen, f"http://{address}/metrics", None, 30)
        assert b"sennit_edge_draining 1.0" in scraped.read()
        for one in running:
            await one.close()


async def test_workers_that_hang_are_a_dead_edge(tmp_path: Path) -> None:
    async with (
        origin() as (upstream, _),
        edge_process(tmp_path, "--upstream", upstream, "--workers", "2") as edge,
    ):
        workers = await workers_of(edge)
        os.kill(workers[0], signal.SIGSTOP)
        try:
            await until_health(edge, status="degraded")
            os.kill(workers[1], signal.SIGSTOP)
            await until_health(edge, status="down")
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
        await until_health(edge, status="ok")
