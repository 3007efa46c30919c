"""Several addresses of one service: the order, the head start, and what becomes of those that lose (RFC 8305)."""

import asyncio
from ipaddress import ip_address
from typing import Any, cast

import pytest

from smkex.core.errors import SmkexError
from smkex.transport.resolution.discovery import in_order
from smkex.transport.tcp.happy_eyeballs import connect_first_reachable
from smkex.transport.tcp.transport import TcpTransport

DELAY = 0.05


class Candidate:
    """Connects after `after` seconds, or fails then."""

    def __init__(self, after: float, error: Exception | None = None) -> None:
        self._after, self._error = after, error
        self.begun: float | None = None
        self.aborted = False

    async def open_first(self) -> None:
        self.begun = asyncio.get_running_loop().time()
        await asyncio.sleep(self._after)
        if self._error is not None:
            raise self._error

    def abort(self, error: SmkexError) -> None:
        self.aborted = True


async def race(*candidates: Candidate) -> Candidate:
    return cast(Any, await connect_first_reachable(cast(list[TcpTransport], list(candidates)), DELAY))


def test_families_take_turns_and_ipv6_begins() -> None:
    given = ["192.0.2.9", "192.0.2.1", "2001:db8::2", "2001:db8::1", "192.0.2.30"]
    found = in_order(map(ip_address, given))
    wanted = ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.9", "192.0.2.30"]
    assert [str(address) for address in found] == wanted


async def test_an_answer_within_the_head_start_is_taken_and_no_other_dialled() -> None:
    first, second = Candidate(0), Candidate(0)
    assert await race(first, second) is first
    assert second.begun is None


async def test_a_silent_one_gives_the_next_its_turn_after_the_delay_and_is_given_up() -> None:
    silent, second = Candidate(60), Candidate(0)
    assert await race(silent, second) is second
    assert silent.aborted
    assert not second.aborted
    assert silent.begun is not None
    assert second.begun is not None
    assert second.begun - silent.begun >= DELAY * 0.9


async def test_a_refusal_gives_the_next_its_turn_at_once() -> None:
    refused, second = Candidate(0, ConnectionRefusedError()), Candidate(0)
    started = asyncio.get_running_loop().time()
    assert await connect_first_reachable(cast(Any, [refused, second]), 30) is cast(Any, second)
    assert asyncio.get_running_loop().time() - started < 10


async def test_one_that_is_late_may_still_win() -> None:
    late, refused = Candidate(3 * DELAY), Candidate(0, OSError("unreachable"))
    assert await race(late, refused) is late


async def test_where_all_fail_the_preferred_ones_error_is_raised() -> None:
    with pytest.raises(OSError, match="first"):
        await race(Candidate(2 * DELAY, OSError("first")), Candidate(0, OSError("second")))


async def test_a_cancelled_race_leaves_nothing_open() -> None:
    silent, other = Candidate(60), Candidate(60)
    racing = asyncio.ensure_future(race(silent, other))
    while other.begun is None:
        await asyncio.sleep(0.005)
    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing
    assert silent.aborted
    assert other.aborted
