"""A site of two edges: whichever gets a packet, its connection's edge serves it, and changes break no connection.

Edge 1 and edge 2 stand for edges behind one router, whose two links to the phone lead to one each: where a packet
enters is chosen by the phone's address, and what an edge sends comes back by its own link.
"""

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator

import pytest
from bulk import carry
from forwarder_network import ForwarderNetwork
from site_servers import SiteServers

from balancer.model.table import Member, Site
from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "netns", "bcc")

Members = tuple[Member, ...]
MANY = 24
BOTH, FIRST = (Member(1), Member(2)), (Member(1), Member(2, 0))  # behind the router are always both


@pytest.fixture
def site(dual: ForwarderNetwork) -> Iterator[None]:
    servers = SiteServers(dual, ("edge1", "edge2"))
    dual.in_("phone", "ip", "route", "add", "default", "via", "10.2.0.1", "dev", "wifi0", "table", "200")
    dual.in_("phone", "ip", "rule", "add", "from", "10.2.0.2", "table", "200")
    yield
    servers.close()
    dual.in_("phone", "ip", "rule", "del", "from", "10.2.0.2", "table", "200")
    dual.in_("phone", "ip", "route", "flush", "table", "200")
    change(dual)


def change(
    network: ForwarderNetwork,
    current: Members = (),
    previous: Members = (),
    seed: str | None = None,
    previous_seed: str | None = None,
) -> None:
    network.sites = (Site("a", current, previous, seed, previous_seed),) if current else ()
    network.publish()
    network.applied()


def ask(connection: socket.socket) -> int:
    connection.sendall(b"?")
    return int(connection.recv(1))


def dial(network: ForwarderNetwork, stack: contextlib.ExitStack, edge: int) -> list[socket.socket]:
    """Connections whose packets enter at one edge."""
    opened = []
    for _ in range(MANY):
        client = stack.enter_context(network.open_socket("phone"))
        client.bind((f"10.{edge}.0.2", 0))
        client.connect(("203.0.113.1", 443))
        opened.append(client)
    return opened


def test_both_edges_serve_what_enters_at_either(dual: ForwarderNetwork, site: None) -> None:
    change(dual, BOTH)
    with contextlib.ExitStack() as stack:
        for edge in (1, 2):
            served_by = Counter(ask(one) for one in dial(dual, stack, edge))
            assert min(served_by[1], served_by[2]) >= 1, "spread by the ring, wherever they enter"
    assert dual.count("edge1")[Reason.SITE_FORWARDED] > 0
    assert dual.count("edge2")[Reason.SITE_FORWARDED] > 0


@pytest.mark.parametrize(("before", "after"), [(FIRST, BOTH), (BOTH, FIRST)], ids=["added", "drained"])
def test_a_change_moves_no_established_connection(
    dual: ForwarderNetwork, site: None, before: Members, after: Members
) -> None:
    change(dual, before)
    chained = sum(dual.count(edge)[Reason.SITE_CHAINED] for edge in ("edge1", "edge2"))
    with contextlib.ExitStack() as stack:
        old = [one for edge in (1, 2) for one in dial(dual, stack, edge)]
        owners = [ask(one) for one in old]
        assert set(owners) == {member.id for member in before if member.weight}
        change(dual, after, before)
        assert [ask(one) for one in old] == owners
        new = Counter(ask(one) for one in dial(dual, stack, 2))
        assert set(new) == {member.id for member in after if member.weight}
        assert [ask(one) for one in old] == owners
    after_all = sum(dual.count(edge)[Reason.SITE_CHAINED] for edge in ("edge1", "edge2"))
    assert after_all > chained, "packets of old connections came to the new edge of their bucket first"


@pytest.mark.parametrize("seeds", [(None, "00112233445566aa"), ("00112233445566aa", "8899aabb00ffeedd")])
def test_a_new_seed_moves_no_established_connection(
    dual: ForwarderNetwork, site: None, seeds: tuple[str | None, str]
) -> None:
    before, after = seeds
    change(dual, BOTH, BOTH, before, before)
    with contextlib.ExitStack() as stack:
        old = [one for edge in (1, 2) for one in dial(dual, stack, edge)]
        owners = [ask(one) for one in old]
        change(dual, BOTH, BOTH, after, before)
        chained = sum(dual.count(edge)[Reason.SITE_CHAINED] for edge in ("edge1", "edge2"))
        assert [ask(one) for one in old] == owners
        assert sum(dual.count(edge)[Reason.SITE_CHAINED] for edge in ("edge1", "edge2")) > chained
        assert len({ask(one) for one in dial(dual, stack, 2)}) == 2


def test_connections_that_need_syn_cookies_survive_a_change(dual: ForwarderNetwork, site: None) -> None:
    for edge in ("edge1", "edge2"):
        dual.in_(edge, "sysctl", "-qw", "net.ipv4.tcp_syncookies=2")
    try:
        change(dual, BOTH, FIRST)
        with contextlib.ExitStack() as stack:
            assert set(map(ask, dial(dual, stack, 2))) == {1, 2}
    finally:
        for edge in ("edge1", "edge2"):
            dual.in_(edge, "sysctl", "-qw", "net.ipv4.tcp_syncookies=1")


def test_locators_come_before_the_ring(dual: ForwarderNetwork, site: None) -> None:
    change(dual, (Member(1, 0), Member(2)))
    with dual.open_socket("edge1") as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("203.0.113.1", 10001))
        listener.listen()
        with dual.dial(10001) as client, listener.accept()[0] as served:
            served.settimeout(60)
            carry(served, client, 1 << 20)
