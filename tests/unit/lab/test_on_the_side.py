"""What the man on the side sends: a segment that is next in order, whose checksums hold."""

from ipaddress import ip_address

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from exchanges import entropy
from packets import CLIENT, VIP, tcp
from scapy.all import TCP, Ether

from lab.attack.impersonation import forged_identity
from lab.attack.on_the_side import PSH_ACK, Segment, note_first_answer, share_for
from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ClientConfig
from smkex.core.wire.messages import Endpoint, Mode, ServerShare

OWN = X25519PrivateKey.from_private_bytes(bytes([5]) * 32)


def first_message(*modes: Mode) -> Segment:
    share = ClientHandshake.begin(ClientConfig(modes=modes), entropy()).client_share
    segment = Segment.read(tcp(sequence=1000, data=share))
    assert segment is not None
    return segment


def test_the_forged_segment_is_next_in_order_with_checksums_that_hold() -> None:
    segment = first_message(Mode.OPPORTUNISTIC)
    sent = Ether(segment.answer(PSH_ACK, b"forged"))
    assert (sent.payload.src, sent.payload.dst) == (VIP, CLIENT)
    assert (sent[TCP].sport, sent[TCP].dport) == (443, 40000)
    assert (sent[TCP].seq, sent[TCP].ack) == (segment.acknowledged, 1000 + len(segment.data))
    checked = Ether(bytes(sent))
    del checked.payload.chksum, checked[TCP].chksum
    assert bytes(checked) == bytes(sent)


def test_the_forged_share_answers_the_mode_that_is_offered() -> None:
    identity = forged_identity(1, None)
    for mode in (Mode.OPPORTUNISTIC, Mode.TOFU):
        segment = first_message(mode)
        frame = share_for(segment, identity, OWN)
        assert frame is not None
        answer = ServerShare.parse(frame)
        assert (answer.mode, answer.share[-32:]) == (mode, OWN.public_key().public_bytes_raw())
        assert answer.observed.client == Endpoint(ip_address(CLIENT), 40000)
        assert bool(answer.certified_share) == (mode is Mode.TOFU)


def test_what_is_no_share_and_no_tcp_is_left_alone() -> None:
    segment = Segment.read(tcp(data=b"\1garbage"))
    assert segment is not None
    assert share_for(segment, forged_identity(1, None), OWN) is None
    assert Segment.read(b"\xff" * 60) is None


def test_who_came_first_is_decided_by_what_passed_first(capsys: pytest.CaptureFixture[str]) -> None:
    segment = first_message(Mode.OPPORTUNISTIC)
    for data, said in ((b"forged", "CHANGED"), (b"genuine", "too late")):
        raced = {segment.ports: (segment.acknowledged, b"forged")}
        passing = Segment.read(segment.answer(PSH_ACK, data))
        assert passing is not None
        note_first_answer(raced, passing)
        note_first_answer(raced, passing)
        assert capsys.readouterr().err.count(said) == 1
