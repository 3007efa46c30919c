"""Guesses of tokens are limited by source; known callers are served all the same."""

from typing import Any

import pytest

from balancer.control.authentication.guesses import BURST, REFILL, SOURCES, GuessLimiter
from balancer.control.http.problems import Refusal


@pytest.fixture(autouse=True)
def stopped_clock(api: Any) -> None:
    """A slow machine gives no guesses back."""
    api.plane.authenticator._guesses = GuessLimiter(lambda: 1000.0)


async def test_unknown_tokens_are_refused_unread_after_a_while(api: Any) -> None:
    await api.enrol(1)
    statuses = [
        (await api.ask("GET", "/v1/edges", token=f"guess-{number}")).status_code
        for number in range(BURST + 5)
    ]
    assert statuses == [401] * BURST + [429] * 5
    late = await api.ask("GET", "/v1/edges", token="another")
    assert late.json()["type"] == "urn:sennit:problem:too-many-guesses"
    assert (await api.ask("GET", "/v1/edges")).status_code == 200, "the admin is served"
    assert (await api.heartbeat(1)).status_code == 200, "and so are edges"
    again = await api.enrol(1, token="credential-1")
    assert again.status_code == 200


@pytest.mark.parametrize("way", ["enrol", "login", "cookie"])
async def test_every_door_for_tokens_is_counted(api: Any, way: str) -> None:
    async def guess(number: int) -> int:
        if way == "enrol":
            return int((await api.enrol(number + 1, token=f"guess-{number}")).status_code)
        if way == "login":
            return int((await api.http.post("/v1/login", json={"token": f"guess-{number}"})).status_code)
        cookie = {"cookie": f"__Host-sennit=guess-{number}"}
        return int((await api.http.get("/v1/edges", headers=cookie)).status_code)

    statuses = [await guess(number) for number in range(BURST + 1)]
    assert statuses == [401] * BURST + [429]


def is_refused(limiter: GuessLimiter, host: str) -> bool:
    try:
        limiter.check_source(host)
    except Refusal:
        return True
    return False


def test_sources_are_addresses_and_networks_of_ipv6_and_get_their_guesses_back() -> None:
    now = 1000.0
    limiter = GuessLimiter(lambda: now)
    for number in range(BURST):
        assert not is_refused(limiter, f"2001:db8:1:2::{number:x}")
        limiter.record_guess(f"2001:db8:1:2::{number:x}")
    assert is_refused(limiter, "2001:db8:1:2::ffff")
    assert not is_refused(limiter, "2001:db8:1:3::1")
    assert not is_refused(limiter, "192.0.2.1")
    now += REFILL
    assert not is_refused(limiter, "2001:db8:1:2::1")


def test_no_number_of_sources_fills_the_memory() -> None:
    limiter = GuessLimiter(lambda: 0.0)
    for number in range(2 * SOURCES):
        limiter.record_guess(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limiter._until) == SOURCES
