"""The session: one stream over two paths, however bytes are cut, lost, damaged or repeated."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smkex.core import errors
from smkex.core.events import DataReceived, PathDropped, SessionClosed, SessionFailed, StreamEnded
from smkex.core.frame import FrameReader
from smkex.core.messages import Aead
from smkex.core.reassembly import Reassembly
from smkex.core.schedule import AeadKey, KeySchedule
from smkex.core.session import Session

Tamper = Callable[[int, int, bytes], bytes | None]
KEYS = KeySchedule(Aead.AES_128_GCM, [bytes(32)], bytes(32))
PATHS = (0, 1)


class Pair:
    """Two ends with a wire per path and direction; `tamper(path, n, frame)` may change or, with None, cut it."""

    def __init__(
        self, tamper: Tamper = lambda path, n, frame: frame, rtts: tuple[float, float] = (0.01, 0.02)
    ) -> None:
        self.client, self.server = Session(KEYS, "client"), Session(KEYS, "server")
        self.events: dict[str, list[object]] = {"client": [], "server": []}
        self._tamper = tamper
        self._sent = 0
        for path in PATHS:
            self.client.add_path(path, FrameReader(), rtts[path])
            self.server.add_path(path, FrameReader(), rtts[path])
        self.cut = 1 << 20

    def run(self) -> None:
        """Carry frames until nobody has anything to say."""
        busy = True
        while busy:
            busy = False
            for sender, receiver, name in (
                (self.client, self.server, "server"),
                (self.server, self.client, "client"),
            ):
                for path in PATHS:
                    while frame := sender.data_to_send(path):
                        busy = True
                        self._carry(sender, receiver, name, path, frame)
                        receiver.acknowledge()

    def _carry(self, sender: Session, receiver: Session, name: str, path: int, frame: bytes) -> None:
        changed = self._tamper(path, self._sent, frame)
        self._sent += 1
        if changed is None:
            self._note(name, receiver.path_lost(path))
            sender.path_lost(path)
            return
        for at in range(0, len(changed), self.cut):
            self._note(name, receiver.receive(path, changed[at : at + self.cut]))
        if path not in receiver.paths and not receiver.over:
            sender.path_lost(path)

    def _note(self, name: str, events: list) -> None:  # type: ignore[type-arg]
        for event in events:
            if isinstance(event, DataReceived):
                (self.client if name == "client" else self.server).consume(len(event.data))
        self.events[name] += events

    def received(self, name: str) -> bytes:
        return b"".join(e.data for e in self.events[name] if isinstance(e, DataReceived))

    def kinds(self, name: str, kind: type) -> list[object]:
        return [event for event in self.events[name] if isinstance(event, kind)]


@settings(max_examples=60, deadline=None)
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=3000), max_size=12),
    cut=st.integers(1, 5000),
    repeat=st.integers(1, 60),
)
def test_any_cutting_gives_the_stream_exactly(chunks: list[bytes], cut: int, repeat: int) -> None:
    pair = Pair()
    pair.cut = cut
    for chunk in chunks:
        pair.client.write(chunk * repeat)
        pair.run()
    pair.client.end()
    pair.server.end()
    pair.run()
    assert pair.received("server") == b"".join(chunk * repeat for chunk in chunks)
    for name in ("client", "server"):
        assert len(pair.kinds(name, StreamEnded)) == 1
        assert len(pair.kinds(name, SessionClosed)) == 1


DATA = bytes(range(256)) * 4000


@pytest.mark.parametrize("at", [0, 1, 5, 14])
def test_a_path_that_dies_loses_nothing(at: int) -> None:
    pair = Pair(lambda path, n, frame: None if path == 0 and n >= at else frame)
    pair.client.write(DATA)
    pair.client.end()
    pair.server.end()
    pair.run()
    assert pair.received("server") == DATA
    assert pair.kinds("server", StreamEnded)


@pytest.mark.parametrize("where", [0, 3, 4, 11, 12, 500, -1])
def test_a_changed_byte_costs_its_path_and_nothing_else(where: int) -> None:
    """Type, length, DSN, ciphertext and tag. A length made greater stalls, which the path's end resolves."""
    hit: list[int] = []

    def flip(path: int, n: int, frame: bytes) -> bytes | None:
        if path == 0 and not hit and frame[0] == 16 and len(frame) > 1000:
            hit.append(n)
            changed = bytearray(frame)
            changed[where] ^= 1
            return bytes(changed)
        return None if hit and path == 0 else frame

    pair = Pair(flip)
    pair.client.write(DATA)
    pair.client.end()
    pair.server.end()
    pair.run()
    assert hit
    assert pair.received("server") == DATA
    assert 0 not in pair.server.paths or pair.server.over
    assert not pair.kinds("server", SessionFailed)


def test_a_replayed_record_is_dropped() -> None:
    pair = Pair()
    pair.client.write(b"once")
    frame = pair.client.data_to_send(0)
    assert pair.server.receive(0, frame) == [DataReceived(b"once")]
    assert pair.server.receive(1, frame) == []
    assert pair.server.paths == [0, 1]


def test_a_replayed_control_message_closes_its_path() -> None:
    pair = Pair()
    pair.client.end()
    control = pair.client.data_to_send(0)
    pair.server.receive(0, control)
    dropped = [event for event in pair.server.receive(0, control) if isinstance(event, PathDropped)]
    assert [type(event.error) for event in dropped] == [errors.BadRecord]


def test_a_control_message_of_one_path_is_worth_nothing_on_another() -> None:
    pair = Pair()
    pair.client.end()
    events = pair.server.receive(1, pair.client.data_to_send(0))
    assert [type(event) for event in events] == [PathDropped]


def test_all_paths_gone_before_the_end_is_truncated() -> None:
    pair = Pair()
    pair.client.write(b"some")
    pair.server.receive(0, pair.client.data_to_send(0))
    pair.server.path_lost(0)
    failed = [event for event in pair.server.path_lost(1) if isinstance(event, SessionFailed)]
    assert [type(event.error) for event in failed] == [errors.Truncated]


def test_an_abort_in_clear_ends_no_session() -> None:
    from smkex.core.messages import encode_abort

    pair = Pair()
    events = pair.server.receive(0, encode_abort(errors.Code.CANCELLED))
    assert [type(event) for event in events] == [PathDropped]
    assert not pair.server.over


def test_a_sealed_abort_ends_it_with_its_reason() -> None:
    pair = Pair()
    pair.client.abort(errors.Overloaded())
    (event,) = pair.server.receive(1, pair.client.data_to_send(1))
    assert isinstance(event, SessionFailed)
    assert isinstance(event.error, errors.PeerAborted)
    assert event.error.peer_code == errors.Code.OVERLOADED
    assert event.error.authenticated


def test_the_sender_keeps_to_the_window_until_the_application_reads() -> None:
    pair = Pair()
    pair.client.write(bytes(20 << 20))
    sent = 0
    while frame := pair.client.data_to_send(0):
        pair.server.receive(0, frame)
        sent += len(frame) - 28
    assert sent == 8 << 20
    assert pair.client.unsent == (20 << 20) - sent


def test_a_peer_beyond_the_window_or_overlapping_is_refused() -> None:
    stream = Reassembly(window=100)
    stream.add(50, bytes(10))
    with pytest.raises(errors.WindowExceeded):
        stream.add(95, bytes(10))
    for dsn, length in ((45, 10), (55, 10), (50, 11), (40, 30)):
        with pytest.raises(errors.Overlap):
            stream.add(dsn, bytes(length))
    assert stream.add(50, bytes(10)) == []


def test_no_key_and_nonce_are_ever_used_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper under the AEAD: sealing different input under the same key and number fails."""
    used: dict[tuple[str, int], tuple[bytes, bytes]] = {}
    names: dict[int, str] = {}
    original_init, original_seal = AeadKey.__init__, AeadKey.seal

    def remember(self: AeadKey, aead: Aead, key: bytes, iv: bytes) -> None:
        names[id(self)] = key.hex() + iv.hex()
        original_init(self, aead, key, iv)

    def seal(self: AeadKey, number: int, data: bytes | memoryview, associated: bytes) -> bytes:
        given = (bytes(data), associated)
        assert used.setdefault((names[id(self)], number), given) == given
        return original_seal(self, number, data, associated)

    monkeypatch.setattr(AeadKey, "__init__", remember)
    monkeypatch.setattr(AeadKey, "seal", seal)
    pair = Pair(lambda path, n, frame: None if path == 0 and n >= 7 else frame)
    for _ in range(5):
        pair.client.write(DATA)
        pair.server.write(DATA)
        pair.run()
    pair.client.end()
    pair.server.end()
    pair.run()
    assert pair.received("server") == DATA * 5
    assert pair.received("client") == DATA * 5
    assert len(used) > 100
