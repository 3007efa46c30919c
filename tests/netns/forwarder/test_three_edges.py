"""Routes change and hosts die in the middle of a transfer, with a third edge there: established subflows go on."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from bulk import carry
from forwarder_network import ForwarderNetwork
from site_servers import SiteServers

from balancer.model.table import EdgeState, Member, Site
from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "netns", "bcc")

VIP = "203.0.113.1"
PART = 2 << 20
MANY = 12  # connections by each edge
ALL = (Member(1), Member(2), Member(3))
WITHOUT_3 = (Member(1), Member(2), Member(3, 0))


@contextlib.contextmanager
def lost(network: ForwarderNetwork, edge: str) -> Iterator[None]:
    """An edge's host is gone, from here to the end of the block; the table is the test's to change."""
    network.cut_off(edge)
    try:
        yield
    finally:
        network.bring_back(edge)
        network.sites = ()
        network.publish()
        network.applied()


@contextlib.contextmanager
def connected(network: ForwarderNetwork) -> Iterator[tuple[socket.socket, socket.socket]]:
    """From the phone's second address to the locator of edge 1, which enters at edge 2 first."""
    network.steer("10.2.0.2", "edge2")
    with network.open_socket("edge1") as listener, network.open_socket("phone") as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((VIP, 10001))
        listener.listen()
        client.bind(("10.2.0.2", 0))
        client.connect((VIP, 10001))
        with listener.accept()[0] as served:
            for end in (client, served):
                end.settimeout(30)
            yield client, served


@contextlib.contextmanager
def flowing(source: socket.socket, sink: socket.socket) -> Iterator[None]:
    """Bytes flow from one end to the other all the while; at the end, whether they all came."""
    done, wrong = threading.Event(), []

    def go_on() -> None:
        try:
            while not done.is_set():
                carry(source, sink, PART)
        except (OSError, AssertionError) as error:
            wrong.append(error)

    running = threading.Thread(target=go_on)
    running.start()
    try:
        yield
    finally:
        done.set()
        running.join(60)
    assert not running.is_alive()
    assert wrong == []


def test_a_path_that_moves_to_a_third_edge_goes_on_and_its_replies_keep_the_way_of_the_syn(
    three: ForwarderNetwork,
) -> None:
    with connected(three) as (client, served):
        with flowing(client, served):
            three.until(lambda: three.count("edge2")[Reason.FORWARDED] > 20, "the transfer runs by edge 2")
            three.steer("10.2.0.2", "edge3")
            three.until(lambda: three.count("edge3")[Reason.FORWARDED] > 20, "it runs by edge 3")
        before = {edge: three.count(edge) for edge in three.names}
        carry(client, served, PART)
        carry(served, client, PART)
        after = {edge: three.count(edge) for edge in three.names}

    def grown(edge: str, reason: Reason) -> int:
        return after[edge][reason] - before[edge][reason]

    assert grown("edge3", Reason.FORWARDED) > 0
    assert grown("edge2", Reason.FORWARDED) == 0
    assert grown("edge1", Reason.REPLY_FORWARDED) > 0
    assert grown("edge2", Reason.REPLY_RETURNED) > 0
    assert grown("edge3", Reason.REPLY_RETURNED) == 0


def test_an_ingress_that_dies_in_a_transfer_is_replaced_by_the_edge_where_packets_come_now(
    three: ForwarderNetwork,
) -> None:
    """Its host is lost, routes move to edge 3, and the table says that it is down: the same TCP connection goes on."""
    with connected(three) as (client, served):
        with flowing(client, served):
            three.until(lambda: three.count("edge2")[Reason.FORWARDED] > 20, "the transfer runs by edge 2")
            with lost(three, "edge2"):
                three.steer("10.2.0.2", "edge3")
                three.publish(edge2=EdgeState.DOWN)
                three.applied(but="edge2")
                before = three.count("edge3")[Reason.REPLY_RETURNED]
                three.until(
                    lambda: three.count("edge3")[Reason.REPLY_RETURNED] > before + 20, "it runs by edge 3"
                )
                assert three.count("edge1")[Reason.REPLY_REROUTED] > 0
        carry(served, client, PART)


def change(
    network: ForwarderNetwork, current: tuple[Member, ...], previous: tuple[Member, ...] = (), but: str = ""
) -> None:
    network.sites = (Site("a", current, previous),)
    network.publish(**({but: EdgeState.DOWN} if but else {}))
    network.applied(but=but)


def ask(connection: socket.socket) -> int:
    connection.sendall(b"?")
    return int(connection.recv(1))


def test_the_abrupt_death_of_a_sites_server_breaks_no_connection_of_the_others(
    three: ForwarderNetwork,
) -> None:
    """Replies leave by an owner's own link; the router moves the dead server's share of packets to the others."""
    servers = SiteServers(three, three.names)
    change(three, ALL)
    try:
        with contextlib.ExitStack() as stack:
            opened = []
            for number, edge in enumerate(three.names, start=1):
                three.steer(f"10.{number}.0.2", edge)
                for _ in range(MANY):
                    client = stack.enter_context(three.open_socket("phone"))
                    client.settimeout(30)
                    client.bind((f"10.{number}.0.2", 0))
                    client.connect((VIP, 443))
                    opened.append(client)
            owners = [ask(one) for one in opened]
            assert set(owners) == {1, 2, 3}, "spread by the ring"
            others = [(one, owner) for one, owner in zip(opened, owners, strict=True) if owner != 3]
            with lost(three, "edge3"):
                three.steer("10.3.0.2", "edge1")
                change(three, WITHOUT_3, ALL, but="edge3")
                assert [ask(one) for one, _ in others] == [owner for _, owner in others]
                for number in (1, 2, 3):
                    new = stack.enter_context(three.open_socket("phone"))
                    new.settimeout(30)
                    new.bind((f"10.{number}.0.2", 0))
                    new.connect((VIP, 443))
                    assert ask(new) in (1, 2), "the dead server's share goes to the living"
    finally:
        servers.close()
