"""Head and body of an answer are one write, and nothing waits longer than a turn of the loop."""

import asyncio
from typing import Any

from balancer.control.http.joined_writes import JOINED_BYTES, JoinedWrites


class Recording:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.done


def joined() -> tuple[JoinedWrites, Recording]:
    transport = Recording()
    return JoinedWrites(transport, asyncio.get_running_loop()), transport  # type: ignore[arg-type]


async def test_a_head_goes_with_its_body() -> None:
    writes, transport = joined()
    for answer in ((b"head1", b"body1"), (b"head2", b"")):
        for part in answer:
            writes.write(part)
    assert transport.done == [b"head1body1", b"head2"]
    await asyncio.sleep(0)
    assert transport.done == [b"head1body1", b"head2"], "nothing is sent twice"


async def test_a_head_that_waits_for_its_body_is_sent_in_the_next_turn() -> None:
    writes, transport = joined()
    writes.write(b"head")
    assert transport.done == []
    await asyncio.sleep(0)
    assert transport.done == [b"head"]
    writes.write(b"event")
    await asyncio.sleep(0)
    assert transport.done == [b"head", b"event"]


async def test_a_long_body_follows_its_head_without_being_copied() -> None:
    writes, transport = joined()
    body = bytes(JOINED_BYTES)
    writes.write(b"head")
    writes.write(body)
    assert transport.done[0] == b"head"
    assert transport.done[1] is body


async def test_what_is_held_is_sent_before_the_end() -> None:
    writes, transport = joined()
    writes.write(b"refusal")
    writes.close()
    assert transport.done == [b"refusal", "closed"]
    assert writes.is_closing()
