"""A reader that keeps pieces as they come reads like asyncio's, whatever is called in which order."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smkex.transport.counting_reader import JOINED_BYTES, CountingReader

LIMIT = 64
PIECES = st.binary(max_size=200).map(lambda data: data.replace(b"a", b"\n"))
CALLS = st.one_of(
    st.tuples(st.just("feed"), PIECES),
    st.tuples(st.just("read"), st.integers(0, 250)),
    st.tuples(st.just("readexactly"), st.integers(0, 60)),
    st.tuples(st.just("readuntil"), st.sampled_from([b"\n", b"\n\n"])),
    st.tuples(st.just("readline"), st.none()),
    st.tuples(st.just("buffered"), st.integers(0, 250)),
)


class Source:
    """A transport that remembers whether it was paused."""

    def __init__(self) -> None:
        self.paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def _call(reader: asyncio.StreamReader, name: str, value: Any) -> Any:
    if name == "feed":
        reader.feed_data(value)
        return None
    try:
        async with asyncio.timeout(0.001):
            return await (reader.readline() if value is None else getattr(reader, name)(value))
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        return type(error)


@given(st.lists(CALLS, max_size=20))
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_or_moved(calls: list[tuple[str, Any]]) -> None:
    async def play() -> None:
        reader, source, fed, read = CountingReader(LIMIT), Source(), b"", b""
        reader.set_transport(source)  # type: ignore[arg-type]
        for name, value in calls:
            if name == "buffered":
                read += reader.read_buffered(value)
                continue
            if name in ("readline", "readuntil", "readexactly") or (name == "read" and len(fed) == len(read)):
                # one that waits is given what it waits for while it does
                asyncio.get_running_loop().call_soon(reader.feed_data, b"late\n\n" * 12)
                fed += b"late\n\n" * 12
            elif name == "feed":
                fed += value
            found = await _call(reader, name, value)
            if isinstance(found, bytes):
                read += found
            await asyncio.sleep(0)
            if found is ValueError or found is asyncio.LimitOverrunError:
                return  # as asyncio's: what exceeds the limit is dropped, or left
            assert fed.startswith(read)
            assert reader.received == len(fed)
        reader.feed_eof()
        assert reader.at_eof() is (len(fed) == len(read))
        assert read + await reader.read() == fed
        assert reader.at_eof()
        assert not source.paused

    asyncio.run(play())


async def test_a_piece_is_read_as_it_came_and_small_ones_together() -> None:
    reader, piece = CountingReader(1 << 20), bytes(JOINED_BYTES)
    reader.feed_data(piece)
    assert await reader.read(1 << 20) is piece
    for _ in range(3):
        reader.feed_data(b"small")
    assert await reader.read(1 << 20) == b"small" * 3
    reader.feed_data(piece)
    assert len(await reader.read(10)) == 10
    assert len(await reader.read(1 << 20)) == len(piece) - 10


async def test_a_sender_is_held_back_and_let_go() -> None:
    reader, source = CountingReader(LIMIT), Source()
    reader.set_transport(source)  # type: ignore[arg-type]
    reader.feed_data(bytes(LIMIT))
    reader.feed_data(bytes(LIMIT))
    assert not source.paused
    reader.feed_data(b"x")
    assert source.paused
    await reader.read(LIMIT)
    assert source.paused
    await reader.read(LIMIT)
    assert not source.paused
    assert await reader.read(LIMIT) == b"x"
    reader.set_exception(ConnectionResetError())
    reader.feed_data(b"y")
    assert reader.read_buffered(9) == b"y"
