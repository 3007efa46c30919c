"""The path of new records: it stays under load, and changes when a path really becomes slower."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wires import Net

from smkex.core.session.path import LOADED_LIFETIME, PING_INTERVAL

SECONDS = 60
RECORD = 16


def changes(net: Net, sender: str) -> int:
    """How often the records of `sender` changed their path, those that were sent again left out."""
    paths = {
        frame: path for _, name, path, frame in reversed(net.carried) if (name, frame[0]) == (sender, RECORD)
    }
    return sum(before != after for before, after in pairwise(paths.values()))


def exchange_until(net: Net, until: float, interval: float, answer: int) -> None:
    """Requests and answers of `answer` bytes, one every `interval` seconds."""
    while net.now < until:
        net.client.write(bytes(100))
        net.server.write(bytes(answer))
        net.run(net.now + interval)


@settings(max_examples=15, deadline=None)
@given(
    delay=st.sampled_from([0.00005, 0.005, 0.02]),
    busy=st.lists(st.sampled_from([0.0, 0.002, 0.01]), min_size=2, max_size=6),
)
def test_on_equal_paths_busy_ends_change_nothing(delay: float, busy: list[float]) -> None:
    """What both ends add to each round trip they add on either path."""
    net = Net(delay, delay)
    for n in range(120):
        for wire in net.wires.values():
            wire.delay = delay + busy[n % len(busy)]
        net.client.write(bytes(100))
        net.server.write(bytes(1000))
        net.run(
            net.now + 0.12
        )  # longer than any round trip with its acknowledgement: a wire delivers in order
    assert net.client.paths == [0, 1]
    for name in net.ends:
        assert changes(net, name) <= 2


@pytest.mark.parametrize("rate", [0.5e6, 2e6])
def test_a_download_that_fills_equal_paths_moves_seldom(rate: float) -> None:
    """Its own queue makes a path slow: the other is tried, and no more than once in a while."""
    net = Net(0.02, 0.02)
    for wire in net.wires.values():
        wire.rate = rate
    net.client.write(b"request")
    while net.now < SECONDS:
        if net.server.unsent < 1 << 20:
            net.server.write(bytes(1 << 20))
        net.run(net.now + 0.1)
    assert changes(net, "server") <= 2 + SECONDS / LOADED_LIFETIME


@pytest.mark.parametrize("interval", [0.002, 0.02, 0.2])
def test_a_path_that_really_becomes_slower_is_left_soon(interval: float) -> None:
    net = Net(0.01, 0.02)
    exchange_until(net, 10, interval, 1000)
    assert net.server.preferred_path() == net.client.preferred_path() == 0
    net.wires[0].delay = 0.1
    slow_since = net.now
    exchange_until(net, slow_since + 10, interval, 1000)
    for name in net.ends:
        last = max(
            at for at, sender, path, frame in net.carried if (sender, path, frame[0]) == (name, 0, RECORD)
        )
        assert last - slow_since < max(2.0, 10 * interval)


def test_a_path_that_becomes_fast_again_is_used_again() -> None:
    net = Net(0.01, 0.03)
    exchange_until(net, 5, 0.05, 1000)
    net.wires[0].delay = 0.2
    exchange_until(net, 15, 0.05, 1000)
    assert net.server.preferred_path() == 1
    net.wires[0].delay = 0.01
    exchange_until(net, 15 + 2 * PING_INTERVAL, 0.05, 1000)
    assert net.server.preferred_path() == net.client.preferred_path() == 0
