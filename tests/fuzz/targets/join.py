"""A subflow that joins, its three messages tampered with: accepted only when they are those of both ends."""

from harness import covered, fuzz

with covered():
    from smkex.core.errors import SmkexError
    from smkex.core.handshake.join import Join, JoinAcceptor, JoinInitiator
    from smkex.core.keys.key_schedule import KeySchedule
    from smkex.core.wire.frame_reader import FrameReader
    from smkex.core.wire.messages import Aead, Mode

from atheris import FuzzedDataProvider
from exchanges import WIFI

KEYS = KeySchedule(Mode.OPPORTUNISTIC, Aead.AES_128_GCM, [bytes(32)], bytes(32))


def tampered(source: FuzzedDataProvider, genuine: bytes) -> bytes:
    """A whole frame, as a subflow gives it."""
    if source.ConsumeBool():
        at, mask = source.ConsumeIntInRange(0, len(genuine) - 1), source.ConsumeIntInRange(0, 255)
        genuine = genuine[:at] + bytes([genuine[at] ^ mask]) + genuine[at + 1 :]
    if source.ConsumeBool():
        body = genuine[4 : source.ConsumeIntInRange(4, len(genuine))] + source.ConsumeBytes(60)
        genuine = genuine[:1] + len(body).to_bytes(3, "big") + body
    reader = FrameReader()
    reader.feed(genuine)
    return next((frame for _, frame in reader.frames()), b"\x08\0\0\0")


def one(data: bytes) -> None:
    source = FuzzedDataProvider(data)
    initiator = JoinInitiator(KEYS, b"s" * 16, source.ConsumeIntInRange(0, 255), b"c" * 32)
    try:
        sent = tampered(source, initiator.join)
        acceptor = JoinAcceptor(KEYS, Join.parse(sent), WIFI, b"s" * 32)
        challenge = tampered(source, acceptor.challenge)
        response, joined, observed = initiator.answer_challenge(challenge)
        proof = tampered(source, response)
        acceptor.verify(proof)
    except SmkexError:
        return
    assert sent == initiator.join
    # the caller checks the type; the MACs cover everything else
    assert challenge[4:] == acceptor.challenge[4:]
    assert proof[4:] == response[4:]
    assert (joined, observed) == (acceptor.hash, WIFI)


if __name__ == "__main__":
    fuzz(one)
