"""What an operator of one service may reach through the edge."""

import ipaddress
import socket

import httpcore
import pytest
from scripted_server import ScriptedServer, answer

from edge.origins.addresses import OriginAddresses
from edge.origins.connecting import OriginConnector

REFUSED = (
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "224.0.0.1"),
    *("240.0.0.1", "255.255.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("::1", "::", "fe80::1", "ff02::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1"),
)


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_that_only_this_node_can_reach_is_refused(text: str) -> None:
    assert OriginAddresses().refusal(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["192.0.2.1", "10.255.0.101", "172.31.0.9", "2001:db8::1", "fd00:1::1"])
def test_an_origin_may_have_any_other_address(text: str) -> None:
    assert OriginAddresses().refusal(ipaddress.ip_address(text)) is None


def test_an_address_of_this_host_is_refused_whatever_its_range() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this host has no route, hence no address but loopback")
        own = ipaddress.ip_address(probe.getsockname()[0])
    assert "this node" in str(OriginAddresses().refusal(own))


def test_prefixes_allow_and_deny() -> None:
    address = ipaddress.ip_address("127.0.0.1")
    loopback, private = ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.0.0.0/8")
    assert OriginAddresses(allowed=[loopback]).refusal(address) is None
    # allowed as IPv4, it is so inside IPv6 too
    assert OriginAddresses(allowed=[loopback]).refusal(ipaddress.ip_address("::ffff:127.0.0.1")) is None
    denied = OriginAddresses(denied=[private])
    assert "--origin-deny" in str(denied.refusal(ipaddress.ip_address("10.1.1.1")))
    assert (
        OriginAddresses([ipaddress.ip_network("10.1.0.0/16")], [private]).refusal(
            ipaddress.ip_address("10.1.1.1")
        )
        is None
    )


@pytest.mark.parametrize("host", [b"127.0.0.1", b"localhost", b"[::ffff:127.0.0.1]"])
async def test_no_connection_is_made_to_a_refused_address(host: bytes) -> None:
    server = ScriptedServer(lambda asked: [answer("secret")])
    async with server.listening() as port:
        connector = OriginConnector(refusal=OriginAddresses().refusal)
        with pytest.raises(httpcore.ConnectError, match="loopback"):
            await connector.open_stream(httpcore.Origin(b"http", host, port), 2)
    assert not server.connections
