"""Properties of the decision. That the C programs agree with it is shown in tests/datapath."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from packets import ACK, CLIENT, RST, SYN, VIP, icmp_error, tcp, tcp_checksum_holds, tunnelled

from balancer.model.reference.decision import ReferenceForwarder
from balancer.model.reference.trace import PacketEndpoint, Untraceable, next_hop, trace
from balancer.model.reference.tunnel import Ends
from balancer.model.table import ForwardingTable, TableEdge
from balancer.model.verdict import Reason
from node.vip import Locator, Vip

MAIN = Vip("main", VIP, None)
TABLE = ForwardingTable(1, (MAIN,), tuple(TableEdge(n, f"edge{n}", f"10.255.0.{n}", None) for n in (1, 2, 3)))
NODES = {n: ReferenceForwarder(n, Ends(f"10.255.0.{n}", None), TABLE) for n in (1, 2, 3)}
IDS = st.sampled_from([1, 2, 3])


@given(ingress=IDS, owner=IDS, data=st.binary(max_size=1400), flags=st.sampled_from([SYN, ACK]))
def test_there_and_back_through_the_tunnel(ingress: int, owner: int, data: bytes, flags: int) -> None:
    """The owner gets what the client sent, and the client what the owner replied, wherever the packet entered."""
    assume(ingress != owner)
    packet = tcp(port=10000 + owner, data=data, flags=flags)
    sent = NODES[ingress].outside(packet)
    assert sent.packet is not None
    delivered = NODES[owner].tunnel(sent.packet)
    assert (delivered.reason, delivered.packet) == (Reason.DELIVERED, packet)
    assert delivered.mark == 0x5E000000 | ingress

    reply = tcp(source=VIP, destination=CLIENT, source_port=10000 + owner, port=40000, data=data)
    back = NODES[owner].reply(reply, 0x5E000000 | ingress)
    assert back.packet is not None
    returned = NODES[ingress].tunnel(back.packet)
    assert (returned.reason, returned.packet) == (Reason.REPLY_RETURNED, reply)


@given(ingress=IDS, owner=IDS, third=IDS)
def test_nothing_is_tunnelled_twice(ingress: int, owner: int, third: int) -> None:
    assume(len({ingress, owner, third}) == 3)
    sent = NODES[ingress].outside(tcp(port=10000 + owner)).packet
    assert sent is not None
    stray = tunnelled(tcp(port=10000 + owner), source=f"10.255.0.{ingress}", destination=f"10.255.0.{third}")
    assert NODES[third].tunnel(stray).reason is Reason.DROP_WRONG_OWNER
    assert NODES[third].tunnel(sent).reason is Reason.NOT_FOR_VIP


@given(sequence=st.integers(0, 2**32 - 1), data=st.binary(max_size=99), flags=st.integers(0, 255))
def test_only_a_syn_is_answered_and_the_answer_is_a_right_reset(
    sequence: int, data: bytes, flags: int
) -> None:
    outcome = NODES[1].outside(tcp(port=10777, sequence=sequence, data=data, flags=flags))
    if flags & (SYN | ACK | RST) != SYN:
        assert outcome.reason is Reason.DROP_UNKNOWN_ID
        return
    answer = outcome.packet
    assert answer is not None
    assert tcp_checksum_holds(answer)
    assert answer[47] == RST | ACK
    assert int.from_bytes(answer[42:46], "big") == (sequence + 1 + (flags & 1) + len(data)) % 2**32
    assert NODES[1].outside(answer).packet == answer, "a reset is no SYN"


@given(junk=st.binary(max_size=120), mark=st.integers(0, 2**32 - 1))
def test_any_bytes_get_a_verdict(junk: bytes, mark: int) -> None:
    packet = bytes(12) + b"\x08\x00" + junk
    for outcome in (NODES[1].outside(packet), NODES[1].tunnel(packet), NODES[1].reply(packet, mark)):
        assert outcome.reason in Reason


def test_an_icmp_error_finds_the_owner() -> None:
    error = icmp_error(tcp(source=VIP, destination=CLIENT, source_port=10002, port=40000))
    sent = NODES[1].outside(error)
    assert sent.reason is Reason.ICMP_FORWARDED
    assert sent.packet is not None
    assert NODES[2].tunnel(sent.packet).packet == error


@pytest.mark.parametrize(
    ("destination", "opens", "reason", "to"),
    [
        (f"{VIP}:443", True, Reason.SERVICE_PORT, None),
        (f"{VIP}:10001", True, Reason.OWN_LOCATOR, None),
        (f"{VIP}:10002", True, Reason.FORWARDED, 2),
        (f"{VIP}:10777", True, Reason.RESET_UNKNOWN_ID, None),
        (f"{VIP}:10777", False, Reason.DROP_UNKNOWN_ID, None),
        ("192.0.2.1:443", True, Reason.NOT_FOR_VIP, None),
    ],
)
def test_trace(destination: str, opens: bool, reason: Reason, to: int | None) -> None:
    outcome = trace(
        NODES[1], PacketEndpoint.parse(f"{CLIENT}:40000"), PacketEndpoint.parse(destination), opens=opens
    )
    owner = next_hop(outcome, NODES[1])
    assert (outcome.reason, owner and owner.id) == (reason, to)


def test_trace_follows_ipv6_by_whichever_tunnel_there_is() -> None:
    vip = Vip("six", None, "2001:db8:a::", locator=Locator.ADDRESS)
    edges = (TableEdge(1, "edge1", "10.255.0.1", None), TableEdge(2, "edge2", "10.255.0.2", "2001:db8::2"))
    node = ReferenceForwarder(1, Ends("10.255.0.1", None), ForwardingTable(1, (vip,), edges))
    ends = PacketEndpoint.parse("[2001:db8:c::7]:40000"), PacketEndpoint.parse("[2001:db8:a::2]:443")
    outcome = trace(node, *ends, opens=True)
    assert (outcome.reason, next_hop(outcome, node)) == (Reason.FORWARDED, edges[1])
    with pytest.raises(Untraceable, match="IPv4"):
        trace(node, PacketEndpoint.parse("1.2.3.4:5"), ends[1], opens=True)


@pytest.mark.parametrize(
    "text", ["", "1.2.3.4", "1.2.3:4", "1.2.3.4:x", "1.2.3.4:70000", "::1:443", "[1.2.3.4]:443"]
)
def test_an_invalid_endpoint_is_refused(text: str) -> None:
    with pytest.raises(Untraceable):
        PacketEndpoint.parse(text)
