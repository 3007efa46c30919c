"""Locators lie where the VIP and the id say, or nowhere; sessions use those in the address as those in the port."""

import socket
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Source, digest_of, read

from smkex.client import ConnectOptions, connect
from smkex.client.edge_cache import EdgeCache
from smkex.core.errors import MalformedMessage, UnexpectedMessage
from smkex.core.handshake.config import ServerConfig
from smkex.core.wire.locator import address_locator
from smkex.core.wire.messages import LocatorKind
from smkex.server.acceptor import Acceptor
from smkex.server.handshake.tcp import TcpHandshakes
from smkex.transport.routes.target import Target

VIP, EDGE_ID = "127.0.0.100", 7


@given(st.ip_addresses(), st.integers(1, 65535))
def test_an_address_locator_differs_from_the_vip_in_its_low_bits_alone(
    vip: IPv4Address | IPv6Address, edge_id: int
) -> None:
    bits = 8 if vip.version == 4 else 16
    try:
        located = address_locator(vip, edge_id)
    except MalformedMessage:
        assert edge_id >> bits or int(vip) % (1 << bits) == edge_id
        return
    assert located.version == vip.version
    assert located != vip
    assert int(located) >> bits == int(vip) >> bits
    assert int(located) % (1 << bits) == edge_id


@pytest.mark.parametrize(
    ("vip", "kind", "edge_id", "locator"),
    [
        ("203.0.113.1", None, 7, ("203.0.113.1", 10007)),
        ("203.0.113.0", LocatorKind.ADDRESS, 7, ("203.0.113.7", 443)),
        ("2001:db8:5e::", LocatorKind.ADDRESS, 0x1234, ("2001:db8:5e::1234", 443)),
        ("2001:db8:5e::", LocatorKind.PORT, 7, ("2001:db8:5e::", 10007)),
    ],
)
def test_locators_lie_at_ports_or_in_addresses(
    vip: str, kind: LocatorKind | None, edge_id: int, locator: tuple[str, int]
) -> None:
    address, port = Target.at(ip_address(vip), 443, 10000, kind).locator(edge_id)
    assert (str(address), port) == locator


@pytest.mark.parametrize(
    ("vip", "edge_id"),
    [("203.0.113.7", 7), ("203.0.113.0", 256), ("2001:db8::", 65536), ("2001:db8::", 0), ("2001:db8::7", 7)],
)
def test_an_id_that_does_not_fit_or_is_the_vip_itself_has_no_address(vip: str, edge_id: int) -> None:
    with pytest.raises(MalformedMessage, match="no address locator"):
        address_locator(ip_address(vip), edge_id)


def test_only_with_ipv6_may_an_edge_name_the_kind() -> None:
    assert Target.at(ip_address("2001:db8:5e::"), 443, 10000, None).kind is None
    assert Target.at(ip_address("203.0.113.1"), 443, 10000, None).kind is LocatorKind.PORT
    with pytest.raises(MalformedMessage, match="kind of the locators"):
        Target.at(ip_address("2001:db8:5e::"), 443, 10000, None).locator(7)


class Edge:
    """Listens at the VIP and at the address of its locator, on one port."""

    def __init__(self, kind: LocatorKind) -> None:
        config = ServerConfig(edge_id=EDGE_ID, locator=kind)
        self.handshakes = TcpHandshakes(
            lambda: config, lambda session: session.start(Source()), limit=16, timeout=5, require_both=False
        )
        self.accepted: list[str] = []
        self.port = 0

    async def start(self, stack: AsyncExitStack) -> None:
        for address in (VIP, f"127.0.0.{EDGE_ID}"):
            listening = stack.enter_context(socket.create_server((address, self.port)))
            self.port = listening.getsockname()[1]
            stack.callback(Acceptor(listening, self._accept).stop)

    def _accept(self, connection: socket.socket, peer: Any) -> None:
        self.accepted.append(connection.getsockname()[0])
        self.handshakes.accept(connection, peer)


async def test_a_session_joins_re_homes_and_returns_by_locators_in_the_address() -> None:
    async with AsyncExitStack() as stack:
        edge = Edge(LocatorKind.ADDRESS)
        await edge.start(stack)
        cache = EdgeCache()
        options = ConnectOptions(
            paths=["lo"],
            allow_shared_path=True,
            known_hosts=None,
            cache=cache,
            locator=LocatorKind.ADDRESS,
        )
        connection = await connect(VIP, port=edge.port, options=options)
        assert edge.accepted == [VIP, "127.0.0.7"]
        connection.writer.write(b"%08d" % 100_000)
        assert await read(connection, 100_000) == digest_of(100_000)
        await connection.rehome()
        await connection.rehome()
        assert edge.accepted == [VIP, "127.0.0.7", "127.0.0.7"]
        await connection.close()
        again = await connect(VIP, port=edge.port, options=options)
        assert edge.accepted[3:] == ["127.0.0.7", "127.0.0.7"]
        await again.close()


async def test_an_edge_that_names_another_kind_is_not_followed() -> None:
    async with AsyncExitStack() as stack:
        edge = Edge(LocatorKind.PORT)
        await edge.start(stack)
        with pytest.raises(UnexpectedMessage, match="PORT locator"):
            await connect(
                VIP,
                port=edge.port,
                options=ConnectOptions(
                    paths=["lo"],
                    allow_shared_path=True,
                    known_hosts=None,
                    locator=LocatorKind.ADDRESS,
                ),
            )
