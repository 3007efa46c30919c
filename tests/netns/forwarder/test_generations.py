"""Generations, restarts and large tables while bytes flow: nothing is lost."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from bulk import carry
from forwarder_network import ForwarderNetwork

from balancer.model.table import EdgeState, TableEdge
from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "netns", "bcc")

LOCATOR = ("203.0.113.1", 10001)
SIZE = 4 << 20
GENERATIONS_A_SECOND = 50
LARGE = 50_000


@pytest.fixture
def pair(dual: ForwarderNetwork) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client and its connection at edge 1, by way of edge 2."""
    with dual.open_socket("edge1") as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(LOCATOR)
        listener.listen()
        with dual.dial(LOCATOR[1]) as client, listener.accept()[0] as served:
            served.settimeout(60)
            client.settimeout(60)
            yield client, served


def lost(network: ForwarderNetwork) -> int:
    return sum(
        packets
        for edge in ("edge1", "edge2")
        for reason, packets in network.count(edge).items()
        if reason.name.startswith("DROP_")
    )


def test_fifty_generations_a_second_lose_nothing(
    dual: ForwarderNetwork, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Each puts every edge's state and tunnel into other maps; the daemons look often enough to apply most."""
    from balancer.datapath.run.table_follower import TableFollower

    client, served = pair
    dual.kill_daemons()  # these followers are in their place, and look at once
    followers = [TableFollower(dual.state(edge), dual.state(edge) / "bpf") for edge in ("edge1", "edge2")]
    before, first = lost(dual), dual.generation
    done = threading.Event()

    def publish() -> None:
        while not done.is_set():
            began = time.monotonic()
            state = EdgeState.DRAINING if dual.generation % 2 else EdgeState.UP
            dual.publish(edge1=state)
            for follower in followers:
                assert follower.poll_table()
            done.wait(max(0.0, 1 / GENERATIONS_A_SECOND - (time.monotonic() - began)))

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        while dual.generation - first < 3 * GENERATIONS_A_SECOND:  # three seconds, or more on a busy machine
            carry(client, served, SIZE)
            carry(served, client, SIZE)
    finally:
        done.set()
        publisher.join()
        for edge in ("edge1", "edge2"):
            dual.start_daemon(edge)
    assert lost(dual) == before


def test_the_daemons_die_and_come_back_while_bytes_flow(
    dual: ForwarderNetwork, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, served = pair
    before = lost(dual)
    dual.kill_daemons()
    carry(client, served, SIZE)
    carry(served, client, SIZE)
    for edge in ("edge1", "edge2"):
        dual.start_daemon(edge)
    dual.publish()
    carry(client, served, SIZE)
    dual.applied()
    carry(served, client, SIZE)
    assert lost(dual) == before


def test_fifty_thousand_edges(dual: ForwarderNetwork, pair: tuple[socket.socket, socket.socket]) -> None:
    client, served = pair
    before, edges = lost(dual), dual.edges
    dual.edges = (*edges, *(many(number) for number in range(3, LARGE + 1)))
    dual.publish()
    carry(client, served, SIZE)
    dual.applied()
    try:
        carry(served, client, SIZE)
        assert lost(dual) == before
        forwarded = dual.count("edge2")[Reason.FORWARDED]
        with dual.open_socket("phone") as last:
            last.setblocking(False)
            last.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wifi0")
            last.connect_ex(("203.0.113.1", 10000 + LARGE))
            dual.until(lambda: dual.count("edge2")[Reason.FORWARDED] > forwarded, "a SYN to the last edge")
    finally:
        dual.edges = edges
        dual.publish()
        dual.applied()


def many(number: int) -> TableEdge:
    return TableEdge(number, f"edge{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", None)
