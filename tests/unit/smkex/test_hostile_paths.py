"""A transfer over real sockets while a relay on one path lies, swallows or breaks: the hash is right."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from loopback import SIZE, LoopbackEdge, digest_of, read, start, until

from smkex.core.session.path_scheduler import Scheduler


@pytest.fixture
async def edge() -> AsyncIterator[LoopbackEdge]:
    async with LoopbackEdge() as edge:
        yield edge


async def test_a_byte_changed_on_the_way_costs_its_path_only(edge: LoopbackEdge) -> None:
    connection, reading, path = await start(edge)
    edge.relays[path].flip_after = 0
    assert await reading == digest_of(SIZE)
    dropped = {event.path for event in connection.session.dropped}
    assert dropped == {path}
    await connection.close()
    assert connection.session.error is None


async def test_a_black_hole_is_left_and_taken_again_when_it_ends(
    edge: LoopbackEdge,
) -> None:
    connection, reading, path = await start(edge)
    edge.relays[path].blackhole()
    await until(lambda: edge.session.stalled(path))  # how soon is measured on a simulated clock elsewhere
    assert await reading == digest_of(SIZE)
    assert edge.relays[1 - path].carried > SIZE // 10
    edge.relays[path].come_back()
    await until(lambda: not edge.session.stalled(path))
    assert connection.session.paths == [0, 1]
    await connection.close()
    assert connection.session.error is None


@pytest.mark.parametrize("scheduler", Scheduler)
async def test_a_reset_in_the_middle_ends_a_path_and_no_stream(
    edge: LoopbackEdge, scheduler: Scheduler
) -> None:
    connection, reading, path = await start(edge, scheduler=scheduler)
    edge.relays[path].cut()
    assert await reading == digest_of(SIZE)
    assert edge.session.scheduler is scheduler
    await connection.close()
    assert connection.session.error is None


async def test_a_reader_that_comes_back_is_announced_at_once(
    edge: LoopbackEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window is used up and all is quiet: the reader's return is the only thing that can go on."""
    monkeypatch.setattr("smkex.core.session.path.PING_INTERVAL", 1000.0)
    connection = await edge.connect()
    connection.writer.write(b"%08d" % SIZE)
    await until(lambda: edge.sessions and edge.session.get_write_buffer_size() > 0)
    sending = edge.session._session._out
    await until(lambda: sending.acknowledged == sending.next_dsn == sending._limit)
    assert await read(connection, SIZE) == digest_of(SIZE)


async def test_closing_waits_for_what_was_written_however_slow_the_paths(
    edge: LoopbackEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time without progress runs out again and again, each time after a little more has arrived."""
    connection = await edge.connect()
    await until(lambda: edge.sessions and len(edge.session.paths) == 2)
    patience = 1234.5
    monkeypatch.setattr("smkex.transport.driver.CLOSE_TIMEOUT", patience)
    loop, waits = asyncio.get_running_loop(), list[Callable[[], None]]()
    call_later = loop.call_later

    def call_later_or_by_hand(delay: float, callback: Any, *rest: Any, **options: Any) -> asyncio.TimerHandle:
        if delay == patience and edge.session.is_closing():
            waits.append(callback)
        return call_later(delay, callback, *rest, **options)

    monkeypatch.setattr(loop, "call_later", call_later_or_by_hand)
    size = 250_000  # written at once: less than the first window
    for relay in edge.relays:
        relay.tickets = asyncio.Semaphore(1)
    connection.writer.write(b"%08d" % size)
    reading = asyncio.create_task(read(connection, size))

    def a_little_more() -> bool:
        for relay in edge.relays:
            assert relay.tickets is not None
            relay.tickets.release()
        return reading.done()

    await until(lambda: a_little_more() or sum(relay.carried for relay in edge.relays) > 10_000)
    edge.session.close()
    for number in range(1, 4):
        assert len(waits) == number
        acknowledged = edge.session._session.acknowledged
        await until(lambda: a_little_more() or edge.session._session.acknowledged > acknowledged)  # noqa: B023
        assert not reading.done()
        waits[-1]()
    await until(a_little_more)
    assert await reading == digest_of(size)


async def test_a_close_without_an_answer_ends(edge: LoopbackEdge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smkex.transport.driver.CLOSE_TIMEOUT", 0.2)
    connection = await edge.connect()
    for relay in edge.relays:
        relay.blackhole()
    await connection.close()
    assert connection.session.is_closing()
