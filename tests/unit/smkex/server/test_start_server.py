"""A program accepts sessions: streams, path report, refusals, limits, and ends that cannot be mistaken."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from loopback import two_neighbouring_ports, until

import smkex
from smkex.core.errors import AbortCode

Callback = Callable[[smkex.AcceptedConnection], Awaitable[None]]


async def echo(connection: smkex.AcceptedConnection) -> None:
    while data := await connection.reader.read(1 << 16):
        connection.writer.write(data)
        await connection.writer.drain()


@asynccontextmanager
async def served(
    callback: Callback, **options: Any
) -> AsyncIterator[tuple[smkex.SessionServer, Callable[..., Awaitable[smkex.Connection]]]]:
    port = two_neighbouring_ports()
    server = await smkex.start_server(
        callback, "127.0.0.1", port, options=smkex.ServerOptions(id_port_base=port, **options)
    )
    client = smkex.ConnectOptions(paths=["lo"], id_port_base=port, allow_shared_path=True, known_hosts=None)

    async def connect(**changed: Any) -> smkex.Connection:
        return await smkex.connect("127.0.0.1", port=port, options=replace(client, **changed))

    async with server:
        yield server, connect


async def test_both_subflows_of_a_session_end_at_one_server_and_its_streams_are_asyncios() -> None:
    async with served(echo) as (server, connect):
        assert len(server.addresses) == 2
        connection = await connect()
        connection.writer.write(b"a line\n")
        assert await connection.reader.readline() == b"a line\n"
        await until(lambda: server.reports()[0].path_confirmed)
        (report,) = server.reports()
        seen = [path.client for path in report.paths]
        assert seen == [path.observed for path in connection.report().paths]
        assert [path.state for path in report.paths] == ["open", "open"]
        assert (report.transport, report.mode, report.server_id) == ("tcp", "opportunistic", 1)
        connection.writer.write_eof()
        assert await connection.reader.read() == b""
        await until(lambda: not server.reports())


async def test_a_direction_that_has_ended_leaves_the_other_open() -> None:
    async def answer_at_the_end(connection: smkex.AcceptedConnection) -> None:
        received = await connection.reader.read(-1)
        connection.writer.write(b"%d" % len(received))

    async with served(answer_at_the_end) as (_, connect):
        connection = await connect()
        connection.writer.write(bytes(3_000_000))
        connection.writer.write_eof()
        assert await asyncio.wait_for(connection.reader.read(), 20) == b"3000000"


async def test_a_session_whose_callback_fails_is_broken_off_and_does_not_look_complete() -> None:
    async def fail(connection: smkex.AcceptedConnection) -> None:
        connection.writer.write(b"half of ")
        raise RuntimeError("out of order")

    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    async with served(fail) as (_, connect):
        connection = await connect()
        with pytest.raises(smkex.PeerAborted) as caught:
            await connection.reader.read(-1)
        assert caught.value.authenticated
    assert [str(context["exception"]) for context in reported] == ["out of order"]


async def test_a_server_that_closes_breaks_off_what_its_callbacks_were_sending() -> None:
    started = asyncio.Event()

    async def send_forever(connection: smkex.AcceptedConnection) -> None:
        while True:
            connection.writer.write(bytes(1000))
            await connection.writer.drain()
            started.set()

    async with served(send_forever) as (server, connect):
        connection = await connect()
        reading = asyncio.create_task(connection.reader.read(-1))
        await started.wait()
        await server.close()
        with pytest.raises(smkex.SmkexError):
            await asyncio.wait_for(reading, 10)


async def test_a_server_that_finishes_waits_for_its_callbacks() -> None:
    asked = asyncio.Event()

    async def answer_late(connection: smkex.AcceptedConnection) -> None:
        await connection.reader.readexactly(1)
        asked.set()
        await connection.reader.readexactly(1)
        connection.writer.write(b"whole")

    async with served(answer_late) as (server, connect):
        connection = await connect()
        connection.writer.write(b"?")
        await asked.wait()
        finishing = asyncio.create_task(server.finish(20))
        connection.writer.write(b"!")
        assert await connection.reader.read(-1) == b"whole"
        await connection.close()
        await asyncio.wait_for(finishing, 10)


async def test_sessions_beyond_the_limit_are_refused_as_overloaded() -> None:
    async with served(echo, limits=smkex.ServerLimits(sessions=1)) as (server, connect):
        first = await connect()  # held: from Python 3.13 on, asyncio closes what is garbage at once
        with pytest.raises(smkex.PeerAborted) as caught:
            await connect()
        assert caught.value.peer_code == AbortCode.OVERLOADED
        await first.close()
        assert server.failures["Overloaded"] == 1


async def test_a_mode_that_the_server_does_not_accept_is_refused() -> None:
    async with served(echo, modes=(smkex.Mode.OPPORTUNISTIC,)) as (_, connect):
        with pytest.raises(smkex.PeerAborted) as caught:
            await connect(mode=smkex.Mode.TOFU)
        assert caught.value.peer_code == AbortCode.NO_COMMON_MODE


async def test_what_cannot_be_served_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="not appear to be"):
        await smkex.start_server(echo, "server.example")
    with pytest.raises(ValueError, match="mptcp needs IPv4"):
        await smkex.start_server(echo, "::1", options=smkex.ServerOptions(mptcp=True))
    with pytest.raises(smkex.IdentityUnusable, match="belong together"):
        await smkex.start_server(echo, "127.0.0.1", options=smkex.ServerOptions(tofu_key=Path("key")))
    with pytest.raises(smkex.IdentityUnusable, match="tofu needs"):
        await smkex.start_server(echo, "127.0.0.1", options=smkex.ServerOptions(modes=(smkex.Mode.TOFU,)))
    port = two_neighbouring_ports()
    options = smkex.ServerOptions(id_port_base=port)
    async with await smkex.start_server(echo, "127.0.0.1", port, options=options):
        with pytest.raises(OSError, match="in use"):
            await smkex.start_server(echo, "127.0.0.1", port, options=options)


async def test_an_asgi_application_is_served_until_cancelled() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    port = two_neighbouring_ports()
    serving = asyncio.create_task(
        smkex.serve(application, "127.0.0.1", port, options=smkex.ServerOptions(id_port_base=port))
    )
    options = smkex.ConnectOptions(paths=["lo"], id_port_base=port, allow_shared_path=True, known_hosts=None)
    async with httpx.AsyncClient(transport=smkex.SmkexTransport(options=options), timeout=10) as client:
        async with asyncio.timeout(10):
            while True:
                try:
                    response = await client.get(f"smkex://127.0.0.1:{port}/")
                    break
                except (httpx.ConnectError, ConnectionRefusedError):
                    assert not serving.done()
        assert (response.status_code, response.content) == (200, b"ok")
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
