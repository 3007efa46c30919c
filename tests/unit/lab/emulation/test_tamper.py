"""The attacker on the wire: one byte of payload, once, and a checksum that is right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from lab.emulation.tamper import NEEDS_CHECKSUM, Tamperer, flip_byte, payload_at


def on_the_wire(packet: Packet, flags: int = 0) -> bytes:
    return bytes((flags,)) + bytes(9) + bytes(packet)


def segment(payload: bytes, options: list[tuple[str, object]] | None = None) -> bytes:
    tcp = TCP(sport=443, dport=50000, options=options or [])
    return on_the_wire(Ether() / IP(src="203.0.113.1", dst="10.1.0.2") / tcp / payload)


def right_checksum(frame: bytes) -> bool:
    packet = Ether(frame[10:])
    said = packet[TCP].chksum
    del packet[TCP].chksum
    return bool(Ether(bytes(packet))[TCP].chksum == said)


@given(st.binary(min_size=1, max_size=1400), st.data())
def test_any_byte_of_payload_may_change_and_the_checksum_stays_right(
    payload: bytes, data: st.DataObject
) -> None:
    frame = segment(payload, [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))])
    found = payload_at(frame)
    assert found is not None
    assert frame[found[0] : found[1]] == payload
    at = data.draw(st.integers(*found).filter(lambda n: n < found[1]))
    changed = flip_byte(frame, at)
    assert [n for n, (a, b) in enumerate(zip(frame, changed, strict=True)) if a != b and n >= found[0]] == [
        at
    ]
    assert right_checksum(changed)


def test_a_checksum_that_is_yet_to_be_computed_is_left_alone() -> None:
    frame = bytearray(segment(b"payload"))
    frame[0] = NEEDS_CHECKSUM
    changed = flip_byte(bytes(frame), len(frame) - 1)
    assert changed[:-1] == frame[:-1]
    assert changed[-1] != frame[-1]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        on_the_wire(Ether() / ARP()),
        on_the_wire(Ether() / IP() / UDP() / (b"x" * 40)),
        on_the_wire(Ether() / IP() / TCP() / b""),
    ],
)
def test_what_has_no_tcp_payload_passes(frame: bytes) -> None:
    assert payload_at(frame) is None
    assert Tamperer(0).pass_on(frame) == frame


def test_one_byte_is_changed_once_so_many_have_passed() -> None:
    tamperer = Tamperer(2500)
    frames = [segment(bytes((n,)) * 1000) for n in range(5)]
    passed = [tamperer.pass_on(frame) for frame in frames]
    assert [a == b for a, b in zip(frames, passed, strict=True)] == [True, True, False, True, True]
    assert tamperer.done
