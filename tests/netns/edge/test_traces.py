"""Spans of a real edge with workers: a session is a trace of its own, and the requests that it carried link to it."""

import asyncio
from pathlib import Path
from typing import Any

from edge_process import EdgeProcess, edge_process, origin
from loopback import until
from otlp_collector import collecting

from smkex.client import connect
from smkex.client.connection import Connection
from smkex.client.options import ConnectOptions

SERVER = 2


async def open_session(edge: EdgeProcess) -> Connection:
    options = ConnectOptions(paths=["lo"], id_port_base=edge.port, allow_shared_path=True, known_hosts=None)
    return await connect("127.0.0.1", port=edge.port, options=options)


async def get(connection: Connection) -> None:
    connection.writer.write(b"GET /a HTTP/1.1\r\nhost: localhost\r\n\r\n")
    head = (await connection.reader.readuntil(b"\r\n\r\n")).decode().lower()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    await connection.reader.readexactly(int(fields["content-length"]))


async def test_a_session_is_a_trace_that_its_requests_link_to(tmp_path: Path) -> None:
    with collecting() as collector:
        async with origin() as (upstream, _):
            options = ["--upstream", upstream, "--workers", "2", "--traces", collector.url]
            async with edge_process(tmp_path, *options) as edge:
                connection = await open_session(edge)
                for _ in range(3):
                    await get(connection)
                await connection.close()
                await until(lambda: collector.named("session", SERVER))
                await until(lambda: len(collector.named("GET", SERVER)) == 3)
                async with asyncio.timeout(10):
                    while True:
                        health: Any = await edge.health()
                        if health["traces"] == {"exported": len(collector.spans), "lost": {}}:
                            break
                        await asyncio.sleep(0.1)
    [session] = collector.named("session", SERVER)
    assert {tuple(each.links) for each in collector.named("GET", SERVER)} == {
        ((session.trace_id, session.span_id),)
    }
    assert session.attributes["sennit.paths"] == 2
    assert session.attributes["sennit.mode"] == "opportunistic"
    assert session.seconds > 0
