"""Hypothesis strategies of frames as the forwarder may get them: right ones, odd ones, damaged ones."""

from hypothesis import strategies as st
from packets import CLIENT, CLIENT6, VIP, VIP6, frame, gue_header, icmp_error, tcp, tunnelled

V4 = st.sampled_from(
    [VIP, VIP, CLIENT, "203.0.113.2", "203.0.113.4", "198.18.7.0", "198.18.7.1", "198.18.7.2", "198.18.7.9"]
)
V6 = st.sampled_from(
    [
        VIP6,
        VIP6,
        CLIENT6,
        "2001:db8:a::",
        "2001:db8:a::1",
        "2001:db8:a::2",
        "2001:db8:a::ff02",
        "2001:db8:e::",
        "2001:db8:e::2",
    ]
)
PORTS = st.one_of(
    st.sampled_from(
        [443, 443, 8443, 9999, 10000, 10001, 10002, 10003, 10004, 10005, 10006, 10777, 20001, 20002]
    ),
    st.integers(0, 65535),
)
OPTIONS = st.lists(
    st.one_of(
        st.just(b"\x01"),
        st.integers(0, 65535).map(lambda mss: b"\x02\x04" + mss.to_bytes(2, "big")),
        st.binary(min_size=1, max_size=4),
        st.just(b"\x08\x0a" + bytes(8)),
    ),
    max_size=6,
).map(lambda parts: (joined := b"".join(parts)[:40]) + b"\x01" * (-len(joined) % 4))
FRAGMENTS = st.sampled_from([0, 0, 0, 0x4000, 0x2000, 0x0010])
DATA = st.one_of(st.binary(max_size=64), st.integers(1380, 1480).map(bytes))
FIELDS = {
    "source_port": PORTS,
    "port": PORTS,
    "flags": st.integers(0, 255),
    "sequence": st.integers(0, 2**32 - 1),
    "options": OPTIONS,
    "data": DATA,
    "fragment": FRAGMENTS,
    "tos": st.integers(0, 255),
}
IP_OPTIONS = st.sampled_from([b"", b"\x01" * 4, b"\x01" * 40])
PACKETS = st.one_of(
    st.builds(tcp, source=V4, destination=V4, ip_options=IP_OPTIONS, **FIELDS),
    st.builds(tcp, source=V6, destination=V6, **FIELDS),
)
ERRORS = st.one_of(
    st.builds(icmp_error, PACKETS, destination=V4, kind=st.sampled_from([0, 3, 3, 5, 8, 11, 12])),
    st.builds(icmp_error, PACKETS, destination=V6, kind=st.sampled_from([0, 1, 2, 2, 3, 4, 128])),
)
MARTIANS = st.one_of(
    st.builds(
        tcp,
        source=st.sampled_from(["127.0.0.1", "0.1.2.3", "224.0.0.1", "255.255.255.255", "169.254.1.1", VIP]),
        destination=V4,
        **FIELDS,
    ),
    st.builds(
        tcp,
        source=st.sampled_from(["::", "::1", "ff02::1", "fe80::1", "::ffff:198.51.100.7", VIP6]),
        destination=st.one_of(V6, st.just(f"::ffff:{VIP}")),
        **FIELDS,
    ),
)
OTHERS = st.one_of(
    st.builds(frame, V4, V4, st.sampled_from([1, 17, 47, 50, 51, 132]), DATA),
    st.builds(frame, V6, V6, st.sampled_from([0, 17, 43, 50, 51, 58, 59, 60, 135, 139, 140]), DATA),
)
EITHER = st.one_of(PACKETS, PACKETS, ERRORS, MARTIANS, OTHERS)


@st.composite
def in_a_tunnel(draw: st.DrawFn) -> bytes:
    """A packet in a tunnel of any kind, mostly right."""
    inner = draw(EITHER)
    gue = draw(st.sampled_from([None, gue_header(inner), b"\0\0\0\0", b"\x40\x04\0\0", b"\0\x04\0\1"]))
    common = {
        "gue": gue,
        "tos": draw(st.integers(0, 255)),
        "fragment": draw(FRAGMENTS),
        "protocol": draw(st.sampled_from([None, None, None, 4, 41, 17])),
    }
    if draw(st.booleans()):
        source = draw(
            st.sampled_from(["10.255.0.1", "10.255.0.2", "10.255.0.2", "10.255.0.5", "10.255.0.99"])
        )
        destination = draw(st.sampled_from(["10.255.0.1", "10.255.0.1", "10.255.0.2"]))
        return tunnelled(inner, source, destination, options=draw(IP_OPTIONS), **common)
    source = draw(st.sampled_from([f"2001:db8:b::{n}" for n in ("1", "2", "2", "4", "99")]))
    return tunnelled(inner, source, draw(st.sampled_from(["2001:db8:b::1", "2001:db8:b::2"])), **common)


SITE_FIELDS = {**FIELDS, "port": st.just(443), "flags": st.sampled_from([2, 2, 16, 18, 4])}
FIRST_SUBFLOWS = st.one_of(
    st.builds(tcp, source=st.just(CLIENT), destination=st.just(VIP), **SITE_FIELDS),
    st.builds(tcp, source=st.just(CLIENT6), destination=st.just(VIP6), **SITE_FIELDS),
)
SERVED_FIELDS = {**FIELDS, "source_port": st.just(443), "flags": st.just(16)}
SITE_ERRORS = st.one_of(
    st.builds(icmp_error, st.builds(tcp, st.just(VIP), st.just(CLIENT), **SERVED_FIELDS)),
    st.builds(
        icmp_error,
        st.builds(tcp, st.just(VIP6), st.just(CLIENT6), **SERVED_FIELDS),
        st.just(VIP6),
        st.just(2),
    ),
)
AT_THE_SITE = st.one_of(FIRST_SUBFLOWS, FIRST_SUBFLOWS, SITE_ERRORS)
HANDED_ON = st.builds(
    tunnelled, AT_THE_SITE, st.sampled_from(["10.255.0.2", "10.255.0.5"]), tos=st.integers(0, 255)
)
OWN_FIELDS = {
    "source_port": st.sampled_from([10001, 10001, 10001, 20001, 10002, 443]),
    "flags": st.sampled_from([16, 18, 2, 4]),
    "options": OPTIONS,
    "data": DATA,
    "tos": st.integers(0, 255),
}
OWN_V4, OWN_V6 = st.sampled_from([VIP, "203.0.113.2", "198.18.7.1"]), st.sampled_from([VIP6, "2001:db8:a::1"])
OWN_REPLIES = st.one_of(
    st.builds(tcp, source=OWN_V4, destination=st.just(CLIENT), **OWN_FIELDS),
    st.builds(tcp, source=OWN_V6, destination=st.just(CLIENT6), **OWN_FIELDS),
)
INGRESSES = st.sampled_from([2, 2, 3, 4, 5, 6, 0x63])
MARKS = st.one_of(
    INGRESSES.map(lambda n: 0x5E000000 | n),
    st.sampled_from([0, 0x11000002, 0x5D000002, 0x5D000002, 0x5EFF0002]),
)


@st.composite
def damaged(draw: st.DrawFn, packets: st.SearchStrategy[bytes]) -> bytes:
    """A packet, perhaps cut short, perhaps with bytes changed behind the Ethernet header."""
    packet = bytearray(draw(packets))
    for _ in range(draw(st.integers(0, 2))):
        packet[draw(st.integers(14, min(len(packet) - 1, 150)))] = draw(st.integers(0, 255))
    least = 54 if packet[12:14] == b"\x86\xdd" else 34  # the kernel's test run refuses less
    return bytes(packet[: draw(st.one_of(st.just(len(packet)), st.integers(least, len(packet))))])
