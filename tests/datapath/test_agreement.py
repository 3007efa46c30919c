"""The C programs and the reference in Python agree byte for byte on whatever comes."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import CLIENT, VIP, tcp, tunnelled

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
TUNNELLED = st.builds(
    tunnelled,
    PACKETS,
    source=st.sampled_from(["10.255.0.2", "10.255.0.3", "10.255.0.99"]),
    destination=st.sampled_from(["10.255.0.1", "10.255.0.1", "10.255.0.2"]),
)


@st.composite
def damaged(draw: st.DrawFn, packets: st.SearchStrategy[bytes]) -> bytes:
    """A packet, perhaps cut short, perhaps with bytes changed behind the Ethernet header."""
    packet = bytearray(draw(packets))
    for _ in range(draw(st.integers(0, 2))):
        packet[draw(st.integers(14, len(packet) - 1))] = draw(st.integers(0, 255))
    return bytes(packet[: draw(st.one_of(st.just(len(packet)), st.integers(34, len(packet))))])


RUNS = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@RUNS
@given(packet=damaged(PACKETS))
def test_from_outside(programs, reference, packet: bytes) -> None:  # type: ignore[no-untyped-def]
    agree(programs.run("outside_ingress", packet), reference.outside(packet))


@RUNS
@given(packet=damaged(TUNNELLED))
def test_from_the_backbone(programs, reference, packet: bytes) -> None:  # type: ignore[no-untyped-def]
    agree(programs.run("tunnel_ingress", packet), reference.tunnel(packet))


def agree(ran, wanted) -> None:  # type: ignore[no-untyped-def]
    assert ran.reason is wanted.reason
    if wanted.packet is None:
        assert ran.action == 2
    else:
        assert ran.packet == wanted.packet
    if wanted.ingress is not None:
        assert ran.mark == 0x5E000000 | wanted.ingress
