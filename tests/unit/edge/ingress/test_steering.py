"""Which worker a subflow belongs to, and how many one network may have."""

import hashlib

import pytest

from edge.ingress.steering import Claim, owner_of, read_claim
from smkex.core.wire.frame import FrameType, encode_frame
from smkex.core.wire.messages import ClientNonce
from smkex.server.limits.admission import PrefixLimiter, prefix_of


def test_prefixes_are_what_one_line_has() -> None:
    assert prefix_of("192.0.2.1") == prefix_of("192.0.2.255") == prefix_of("::ffff:192.0.2.9")
    assert prefix_of("192.0.2.1") != prefix_of("192.0.3.1")
    assert prefix_of("2001:db8::1") == prefix_of("2001:db8:0:ff::1%lo")
    assert prefix_of("2001:db8::1") != prefix_of("2001:db8:0:100::1")
    held = PrefixLimiter(1)
    key = held.acquire("192.0.2.1")
    assert key is not None
    assert held.acquire("192.0.2.2") is None
    assert held.acquire("192.0.3.2") is not None
    held.release(key)
    assert held.acquire("192.0.2.2") == key
    assert len(held) == 2


ID = bytes(range(16))


@pytest.mark.parametrize(
    ("first", "claim"),
    [
        (ClientNonce.build(ID, bytes(32)).frame, Claim(ID, FrameType.CLIENT_NONCE)),
        (encode_frame(FrameType.CLIENT_SHARE, b"\1" + ID + bytes(50)), Claim(ID, FrameType.CLIENT_SHARE)),
        (encode_frame(FrameType.JOIN, ID + bytes(40)), Claim(ID, FrameType.JOIN)),
        (b"\x16\x03\x01\x00\x08\x01\0\0\4abcd", Claim(hashlib.sha256(b"\x01\0\0\4abcd").digest()[:16], None)),
        (  # in two records, the first of which ends within the message's length
            b"\x16\x03\x01\x00\x03\x01\0\0" + b"\x16\x03\x01\x00\x05\4abcd",
            Claim(hashlib.sha256(b"\x01\0\0\4abcd").digest()[:16], None),
        ),
        (b"\x16\x03\x01\x00\x05\x01\0\0\4a" + b"\x17\x03\x01\x00\x03", None),  # goes on as something else
        (b"\x16\x03\x01\x00\x01\x01" * 8, None),  # in crumbs
        (b"\x16\x03\x01\x00\x00", None),
        (b"\x16\x03\x01\xff\xff", None),
        (encode_frame(FrameType.FINISHED, bytes(33)), None),
        (b"GET / HTTP/1.1\r\n\r\n", None),
    ],
)
def test_a_subflow_says_whose_it_is_however_slowly_it_comes(first: bytes, claim: Claim | None) -> None:
    needed: object = 1
    seen = 0
    while isinstance(needed, int):
        assert seen < needed <= len(first)
        seen = needed
        needed = read_claim(first[:seen])
    assert needed == claim


def test_sessions_are_spread_by_a_secret() -> None:
    ids = [hashlib.sha256(bytes([n])).digest()[:16] for n in range(200)]
    owners = [owner_of(one, b"secret", 4) for one in ids]
    assert set(owners) == {0, 1, 2, 3}
    assert owners == [owner_of(one, b"secret", 4) for one in ids]
    assert owners != [owner_of(one, b"another", 4) for one in ids]
