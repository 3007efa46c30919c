"""The C programs and the reference in Python agree byte for byte on whatever comes."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import CLIENT, VIP, icmp_error, tcp, tunnelled

pytestmark = pytest.mark.needs("root", "bcc")

ADDRESSES = st.sampled_from([VIP, CLIENT, "192.0.2.9"])
PORTS = st.one_of(st.sampled_from([443, 9999, 10000, 10001, 10002, 10003, 10777]), st.integers(0, 65535))
OPTIONS = st.lists(
    st.one_of(
        st.just(b"\x01"),
        st.integers(0, 65535).map(lambda mss: b"\x02\x04" + mss.to_bytes(2, "big")),
        st.binary(min_size=1, max_size=4),
        st.just(b"\x08\x0a" + bytes(8)),
    ),
    max_size=6,
).map(lambda parts: (joined := b"".join(parts)[:40]) + b"\x01" * (-len(joined) % 4))
PACKETS = st.builds(
    tcp,
    source=ADDRESSES,
    destination=ADDRESSES,
    source_port=PORTS,
    port=PORTS,
    flags=st.integers(0, 255),
    sequence=st.integers(0, 2**32 - 1),
    options=OPTIONS,
    data=st.binary(max_size=64),
    ip_options=st.sampled_from([b"", b"\x01" * 4, b"\x01" * 40]),
    fragment=st.sampled_from([0, 0, 0, 0x4000, 0x2000, 0x0010]),
    tos=st.integers(0, 255),
)
ERRORS = st.builds(icmp_error, PACKETS, destination=ADDRESSES, kind=st.sampled_from([0, 3, 3, 5, 8, 11, 12]))
EITHER = st.one_of(PACKETS, PACKETS, ERRORS)
TUNNELLED = st.builds(
    tunnelled,
    EITHER,
    source=st.sampled_from(["10.255.0.1", "10.255.0.2", "10.255.0.2", "10.255.0.3", "10.255.0.99"]),
    destination=st.sampled_from(["10.255.0.1", "10.255.0.1", "10.255.0.1", "10.255.0.2"]),
    tos=st.integers(0, 255),
)
OWN_REPLIES = st.builds(
    tcp,
    source=st.just(VIP),
    destination=st.just(CLIENT),
    source_port=st.sampled_from([10001, 10001, 10001, 10002, 443]),
    flags=st.sampled_from([16, 18, 2, 4]),
    options=OPTIONS,
    data=st.one_of(st.binary(max_size=64), st.integers(1400, 1480).map(bytes)),
    tos=st.integers(0, 255),
)
MARKS = st.sampled_from([0x5E000002, 0x5E000002, 0x5E000003, 0x5E000063, 0, 0x5D000002, 0x5EFF0002])


@st.composite
def damaged(draw: st.DrawFn, packets: st.SearchStrategy[bytes]) -> bytes:
    """A packet, perhaps cut short, perhaps with bytes changed behind the Ethernet header."""
    packet = bytearray(draw(packets))
    for _ in range(draw(st.integers(0, 2))):
        packet[draw(st.integers(14, len(packet) - 1))] = draw(st.integers(0, 255))
    return bytes(packet[: draw(st.one_of(st.just(len(packet)), st.integers(34, len(packet))))])


RUNS = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@RUNS
@given(packet=damaged(EITHER))
def test_from_outside(programs, reference, packet: bytes) -> None:  # type: ignore[no-untyped-def]
    agree(programs.run("outside_ingress", packet), reference.outside(packet))


@RUNS
@given(packet=damaged(TUNNELLED))
def test_from_the_backbone(programs, reference, packet: bytes) -> None:  # type: ignore[no-untyped-def]
    agree(programs.run("tunnel_ingress", packet), reference.tunnel(packet))


@RUNS
@given(packet=damaged(st.one_of(PACKETS, OWN_REPLIES, OWN_REPLIES)), mark=MARKS)
def test_from_this_host(programs, reference, packet: bytes, mark: int) -> None:  # type: ignore[no-untyped-def]
    agree(programs.run("owner_egress", packet, mark=mark), reference.reply(packet, mark))


GARBAGE = st.binary(min_size=20, max_size=200).map(
    lambda rest: b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0" + rest
)


@RUNS
@given(packet=GARBAGE, program=st.sampled_from(["outside_ingress", "tunnel_ingress", "owner_egress"]))
def test_garbage(programs, reference, packet: bytes, program: str) -> None:  # type: ignore[no-untyped-def]
    ask = {
        "outside_ingress": reference.outside,
        "tunnel_ingress": reference.tunnel,
        "owner_egress": lambda given: reference.reply(given, 0x5E000002),
    }
    agree(
        programs.run(program, packet, mark=0x5E000002 if program == "owner_egress" else 0),
        ask[program](packet),
    )


def agree(ran, wanted) -> None:  # type: ignore[no-untyped-def]
    assert ran.reason is wanted.reason
    if wanted.packet is None:
        assert ran.action == 2
    else:
        assert ran.packet == wanted.packet
    if wanted.ingress is not None:
        assert ran.mark == 0x5E000000 | wanted.ingress
