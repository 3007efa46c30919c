"""The edge's daemon as a process: what it serves, over sessions and over HTTPS."""

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
from certificates import identity
from edge_process import EdgeProcess, edge_process, origin
from free_ports import free_port

from runtime.capabilities import NET_ADMIN, NET_BIND_SERVICE, held_capabilities
from smkex.client import ConnectOptions, connect

APPLICATION = """
from contextlib import asynccontextmanager

started = []

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        started.append(True)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("application stopped", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    text = b"hello" if started else b"not started"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})

async def refusing(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


async def get(edge: EdgeProcess, path: str = "/a") -> bytes:
    """One GET in a session of its own."""
    connection = await connect(
        "127.0.0.1",
        port=edge.port,
        options=ConnectOptions(
            paths=["lo"], id_port_base=edge.port, allow_shared_path=True, known_hosts=None
        ),
    )
    connection.writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
    async with asyncio.timeout(60):
        answer = await connection.reader.read()
    await connection.close()
    return answer


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_sessions_and_https_are_served_from_one_cache(tmp_path: Path) -> None:
    certificate, key = identity(tmp_path, "edge", "localhost")
    port = free_port()
    async with origin() as (upstream, asked):
        options = ["--upstream", upstream, "--https-port", str(port)]
        options += ["--tls-certificate", str(certificate), "--tls-key", str(key)]
        async with edge_process(tmp_path, *options) as edge:
            assert (await get(edge)).endswith(b"from the origin")
            trusted = ssl.create_default_context(cafile=str(certificate))
            async with httpx.AsyncClient(verify=trusted) as client:
                answer = await client.get(f"https://localhost:{port}/a", headers={"host": "localhost"})
            assert answer.text == "from the origin"
            assert "; hit" in answer.headers["cache-status"]
            assert len(asked) == 1
            old = ssl.create_default_context(cafile=str(certificate))
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises(OSError):
                await asyncio.open_connection("localhost", port, ssl=old)
            assert await edge.stop() == 0
    # a restart serves what was stored, though the origin is away
    async with edge_process(tmp_path, "--upstream", upstream) as edge:
        assert (await get(edge)).endswith(b"from the origin")


async def test_any_asgi_application_is_served(tmp_path: Path) -> None:
    (tmp_path / "site.py").write_text("")
    (tmp_path / "shop.py").write_text(APPLICATION)
    async with edge_process(tmp_path, "--app", "shop:app", cwd=tmp_path) as edge:
        answer = await get(edge)
        assert answer.endswith(b"\r\n\r\nhello")
        assert b"\r\ndate: " in answer
        assert await edge.stop() == 0
    assert "application stopped" in edge.log.read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [("shop:refusing", "refused to start"), ("shop:none", "none"), ("nothing:app", "nothing")],
)
async def test_an_application_that_cannot_be_served_is_said_so(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "shop.py").write_text(APPLICATION)
    with pytest.raises(RuntimeError) as failed:
        async with edge_process(tmp_path, "--app", name, cwd=tmp_path):
            pass
    assert "error: " in str(failed.value)
    assert said in str(failed.value)


@pytest.mark.needs("root")
@pytest.mark.parametrize("workers", [0, 2])
async def test_no_thread_of_the_server_keeps_a_capability_of_the_start(tmp_path: Path, workers: int) -> None:
    async with origin() as (upstream, _):
        options = ["--upstream", upstream, "--workers", str(workers)]
        async with edge_process(tmp_path, *options) as edge:
            assert (await get(edge)).endswith(b"from the origin")  # the cache's writer runs
            children = Path(f"/proc/{edge.process.pid}/task/{edge.process.pid}/children").read_text().split()
            servers = [
                pid
                for pid in [str(edge.process.pid), *children]
                if b"smkex.server.handshake.path_manager" not in Path(f"/proc/{pid}/cmdline").read_bytes()
            ]
            assert len(servers) == 1 + workers
            for pid in servers:
                held = held_capabilities(Path(f"/proc/{pid}/task"))
                assert len(held) >= 1
                assert not any(
                    mask >> NET_ADMIN & 1 or mask >> NET_BIND_SERVICE & 1 for mask in held.values()
                )


@pytest.mark.parametrize("workers", ["0", "2"])
async def test_https_without_a_certificate_is_refused(tmp_path: Path, workers: str) -> None:
    with pytest.raises(RuntimeError, match="--https-port needs --tls-certificate and --tls-key"):
        async with edge_process(tmp_path, "--https-port", str(free_port()), "--workers", workers):
            pass
