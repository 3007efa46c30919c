"""The access log of a real edge with workers: a killed worker loses its last batch at most, a rotation nothing."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from edge_process import EdgeProcess, edge_process, origin
from loopback import until

from smkex.client import connect
from smkex.client.connection import Connection
from smkex.client.options import ConnectOptions


async def open_session(edge: EdgeProcess) -> Connection:
    options = ConnectOptions(paths=["lo"], id_port_base=edge.port, allow_shared_path=True, known_hosts=None)
    return await connect("127.0.0.1", port=edge.port, options=options)


async def ask(connection: Connection) -> str:
    """Return the id of the request."""
    connection.writer.write(b"GET /a HTTP/1.1\r\nhost: localhost\r\n\r\n")
    head = (await connection.reader.readuntil(b"\r\n\r\n")).decode().lower()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    await connection.reader.readexactly(int(fields["content-length"]))
    return fields["x-request-id"]


def lines_of(*files: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]


async def figures_of(edge: EdgeProcess) -> int:
    figures: Any = (await edge.health())["figures"]
    return sum(each["requests"] for each in figures.values())


async def test_lines_outlive_a_killed_worker_and_a_rotation(tmp_path: Path) -> None:
    log, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    async with origin() as (upstream, _):
        options = ["--upstream", upstream, "--workers", "2", "--access-log", f"file:{log}"]
        async with edge_process(tmp_path, *options) as edge:
            first = [await open_session(edge) for _ in range(6)]
            ids = [await ask(one) for one in first for _ in range(10)]
            await until(lambda: len(lines_of(log)) == len(ids))
            while await figures_of(edge) != len(ids):
                await asyncio.sleep(0.05)
            children = Path(f"/proc/{edge.process.pid}/task/{edge.process.pid}/children").read_text().split()
            workers = [
                pid
                for pid in map(int, children)
                if b"edge.server.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ]
            os.kill(workers[0], signal.SIGKILL)
            while (await edge.health())["workers"] != 1:
                await asyncio.sleep(0.05)
            # what it had reported is still counted, and what it had written is there
            assert await figures_of(edge) == len(ids)
            log.rename(rotated)
            while (await edge.health())["workers"] != 2:
                await asyncio.sleep(0.05)
            second = [await open_session(edge) for _ in range(6)]
            ids += [await ask(one) for one in second for _ in range(10)]
            await until(lambda: len(lines_of(rotated, log)) == len(ids))
            assert lines_of(log)
            health: Any = await edge.health()
        lines = lines_of(rotated, log)
    assert sorted(line["request_id"] for line in lines) == sorted(ids)
    assert health["access_log"]["lost"] == {}
    assert {(line["service"], line["mode"], line["owner"]) for line in lines} == {
        ("default", "opportunistic", 1)
    }
    assert all([path["ingress"] for path in line["paths"]] == [1, 1] for line in lines)
    assert sum(line["origin"] is not None for line in lines) == 1
