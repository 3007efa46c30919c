"""IPv4 and IPv6 inside and outside, both encapsulations, both locators, several uplinks: in bulk, both directions."""

import socket
from dataclasses import replace

import pytest
from bulk import carry
from forwarder_network import ForwarderNetwork

from balancer.model.table import Encapsulation
from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "netns", "bcc")

SIZE = 2 << 20
TAG = 0x5E000000
VIPS = {
    "port": {4: ("203.0.113.1", 10001), 6: ("2001:db8:5e::1", 10001)},
    "address": {4: ("198.18.7.1", 443), 6: ("2001:db8:a::1", 443)},
}


def transfer(network: ForwarderNetwork, address: str, port: int, interface: str = "wifi0") -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with network.open_socket("edge1", family=family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        with network.dial(port, interface, address) as client, listener.accept()[0] as served:
            served.settimeout(60)
            assert served.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) == TAG | 2
            carry(served, client, SIZE)
            carry(client, served, SIZE)


def tunnels(network: ForwarderNetwork, outer: int, encapsulation: Encapsulation) -> None:
    """Give every edge such tunnels."""
    network.edges = tuple(
        replace(
            edge,
            tunnel_v4=f"10.255.0.{edge.id}" if outer == 4 else None,
            tunnel_v6=f"2001:db8:b::{edge.id}" if outer == 6 else None,
            encapsulation=encapsulation,
        )
        for edge in network.edges
    )
    network.publish()
    network.applied()


def drops(network: ForwarderNetwork) -> dict[tuple[str, str], int]:
    return {
        (edge, reason.name): count
        for edge in ("edge1", "edge2")
        for reason, count in network.count(edge).items()
        if reason.name.startswith("DROP_") and count
    }


@pytest.mark.parametrize("encapsulation", Encapsulation)
@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("inner", [4, 6])
def test_bulk_through_every_tunnel(
    dual: ForwarderNetwork, inner: int, outer: int, encapsulation: Encapsulation
) -> None:
    tunnels(dual, outer, encapsulation)
    before = drops(dual)
    transfer(dual, *VIPS["port"][inner])
    assert drops(dual) == before


@pytest.mark.parametrize("version", [4, 6])
def test_address_locators_need_port_443_alone(dual: ForwarderNetwork, version: int) -> None:
    transfer(dual, *VIPS["address"][version])


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("interface", "uplink"), [("wifi0", "up0"), ("lte0", "up1")])
def test_a_reply_leaves_by_the_uplink_that_leads_to_its_client(
    dual: ForwarderNetwork, version: int, interface: str, uplink: str
) -> None:
    """The ingress edge has two, and asks its routes."""
    before = {name: dual.packets("edge2", name)[1] for name in ("up0", "up1")}
    transfer(dual, *VIPS["port"][version], interface)
    sent = {name: dual.packets("edge2", name)[1] - count for name, count in before.items()}
    assert sent[uplink] >= SIZE // 65536
    other = next(name for name in sent if name != uplink)
    assert sent[other] < 10, "neighbour discovery at most"
    assert dual.count("edge2")[Reason.DROP_NO_ROUTE] == 0


@pytest.mark.parametrize("version", [4, 6])
def test_a_reset_reaches_who_dialled_an_unknown_id(dual: ForwarderNetwork, version: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        dual.dial(10777, "wifi0", VIPS["port"][version][0])


@pytest.mark.parametrize("version", [4, 6])
def test_a_connection_learns_that_its_tunnel_has_become_smaller(dual: ForwarderNetwork, version: int) -> None:
    """It began with 20 bytes outside; GUE over IPv6 takes 52.

    ICMP of the ingress edge tells the client. The owner's end learns it from ICMP of its own egress program or from
    the route of marked replies, whichever it asks first.
    """
    address, port = VIPS["port"][version]
    tunnels(dual, 4, Encapsulation.IPIP)
    # the daemon follows with the route of marked replies, from which the owner's SYN-ACK has its MSS
    ask = ("ip", "route", "get", {4: "240.0.0.1", 6: "100::1"}[version], "mark", hex(TAG | 1))
    dual.until(lambda: "mtu 1480" in dual.in_("edge1", *ask), "the route has the tunnel's MTU", 30)
    before = dual.count("edge2")[Reason.ICMP_TOO_BIG]
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    with dual.open_socket("edge1", family=family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        with dual.dial(port, "wifi0", address) as client, listener.accept()[0] as served:
            served.settimeout(60)
            client.settimeout(60)
            carry(client, served, SIZE)
            carry(served, client, SIZE)
            segments = {
                end: end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) for end in (client, served)
            }
            tunnels(dual, 6, Encapsulation.GUE)
            carry(client, served, SIZE)
            carry(served, client, SIZE)
            for end, segment in segments.items():
                assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == segment - (52 - 20)
    assert dual.count("edge2")[Reason.ICMP_TOO_BIG] > before
