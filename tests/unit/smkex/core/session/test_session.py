"""The session: one stream, however bytes are cut, forged or repeated, and within its bounds."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wires import Net, Wire, data_chain, fresh_keys, same_keys

from smkex.core import errors
from smkex.core.events import (
    DataReceived,
    PathDropped,
    RehomeRequested,
    SessionClosed,
    SessionFailed,
    StreamEnded,
)
from smkex.core.keys.epoch_chain import EPOCH_LENGTH, EPOCH_SHIFT
from smkex.core.session.control_message import ControlMessage, ControlSealer
from smkex.core.session.path import INITIAL_WINDOW_RECORD_LIMIT, PING_INTERVAL
from smkex.core.session.path_scheduler import Scheduler, fastest_path
from smkex.core.session.path_set import MAXIMUM_PATH_NUMBER, MAXIMUM_PATHS
from smkex.core.session.reassembly import Reassembly
from smkex.core.session.record import DSN_LIMIT, OVERHEAD, UNACKNOWLEDGED_LIMIT, seal, unseal
from smkex.core.session.sending_stream import INITIAL_WINDOW, SendingStream
from smkex.core.session.session import Session
from smkex.core.wire.frame import RECORD_DATA_LIMIT, FrameType, encode_frame
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import encode_abort

DATA = bytes(range(256)) * 4000


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=3000), max_size=12),
    cut=st.integers(50, 5000),
    repeat=st.integers(1, 60),
    scheduler=st.sampled_from(Scheduler),
)
def test_any_cutting_gives_the_stream_exactly(
    chunks: list[bytes], cut: int, repeat: int, scheduler: Scheduler
) -> None:
    net = Net(0.01, 0.02, scheduler=scheduler, cut=cut)
    for chunk in chunks:
        net.client.write(chunk * repeat)
        net.run(net.now + 0.001)
    net.client.end()
    net.server.end()
    net.run()
    assert net.received("server") == b"".join(chunk * repeat for chunk in chunks)
    for name in ("client", "server"):
        assert len(net.kinds(name, StreamEnded)) == 1
        assert len(net.kinds(name, SessionClosed)) == 1


def test_byte_by_byte_gives_the_same_as_whole() -> None:
    net = Net(0.01, 0.02, cut=1)
    net.client.write(b"one byte at a time")
    net.client.end()
    net.server.end()
    net.run()
    assert net.received("server") == b"one byte at a time"


def test_a_replayed_record_is_dropped() -> None:
    net = Net(0.01, 0.02)
    net.client.write(b"once")
    frame = net.client.data_to_send(0, 0.0)
    assert net.server.receive(0, frame, 0.0) == [DataReceived(b"once")]
    assert net.server.receive(1, frame, 0.0) == []
    assert net.server.paths == [0, 1]


def test_received_data_is_compared_by_its_bytes_and_not_shown() -> None:
    event = DataReceived(b"secret")
    assert event == DataReceived(b"secret")
    assert event != DataReceived(b"other")
    assert hash(event) == hash(DataReceived(b"secret"))
    assert repr(event) == "DataReceived(6 bytes)"


def test_a_replayed_control_message_closes_its_path() -> None:
    net = Net(0.01, 0.02)
    net.client.end()
    control = net.client.data_to_send(0, 0.0)
    net.server.receive(0, control, 0.0)
    dropped = [e for e in net.server.receive(0, control, 0.0) if isinstance(e, PathDropped)]
    assert [type(event.error) for event in dropped] == [errors.BadRecord]


def test_a_control_message_of_one_path_is_worth_nothing_on_another() -> None:
    net = Net(0.01, 0.02)
    net.client.end()
    events = net.server.receive(1, net.client.data_to_send(0, 0.0), 0.0)
    assert [type(event) for event in events] == [PathDropped]


def test_all_paths_gone_before_the_end_is_truncated() -> None:
    net = Net(0.01, 0.02)
    net.client.write(b"some")
    net.server.receive(0, net.client.data_to_send(0, 0.0), 0.0)
    net.server.path_lost(0)
    failed = [event for event in net.server.path_lost(1) if isinstance(event, SessionFailed)]
    assert [type(event.error) for event in failed] == [errors.Truncated]


def test_an_abort_in_clear_ends_no_session() -> None:
    net = Net(0.01, 0.02)
    events = net.server.receive(0, encode_abort(errors.AbortCode.CANCELLED), 0.0)
    assert [type(event) for event in events] == [PathDropped]
    assert not net.server.over


def test_a_sealed_abort_ends_it_with_its_reason() -> None:
    net = Net(0.01, 0.02)
    net.client.abort(errors.Overloaded())
    (event,) = net.server.receive(1, net.client.data_to_send(1, 0.0), 0.0)
    assert isinstance(event, SessionFailed)
    assert isinstance(event.error, errors.PeerAborted)
    assert event.error.peer_code == errors.AbortCode.OVERLOADED
    assert event.error.authenticated


# --- bounds


def test_the_sender_keeps_to_the_window_until_the_application_reads() -> None:
    net = Net(0.01, 0.02)
    net.reading = False
    net.client.write(bytes(20 << 20))
    net.run(30)
    assert len(net.received("server")) == 8 << 20
    assert net.client.unsent == 12 << 20
    net.server.consume(1 << 20)
    net.run(60)
    assert len(net.received("server")) == 9 << 20


def test_what_the_application_took_is_acknowledged_even_if_an_acknowledgement_is_lost() -> None:
    """The sender waits for the window, so nothing of its own would ask for what was lost."""
    net = Net(0.01, 0.02)
    net.reading = False
    net.client.write(bytes(10 << 20))
    net.run(20)
    net.wires[0].blackhole = True
    net.reading = True
    net.server.consume(8 << 20)
    net.run(40)
    assert len(net.received("server")) == 10 << 20


def test_a_peer_beyond_the_window_or_overlapping_is_refused() -> None:
    stream = Reassembly(window=100)
    stream.add_record(50, bytes(10))
    with pytest.raises(errors.WindowExceeded):
        stream.add_record(95, bytes(10))
    for dsn, length in ((45, 10), (55, 10), (50, 11), (40, 30)):
        with pytest.raises(errors.Overlap):
            stream.add_record(dsn, bytes(length))
    assert stream.add_record(50, bytes(10)) == []


def test_many_tiny_records_fill_no_memory() -> None:
    """The sender merges what it may not seal yet; a peer that does not is refused."""
    net = Net(0.01)
    net.wires[0].blackhole = True
    for _ in range(3000):
        net.client.write(b"x")
        net.run(net.now + 1e-6)
    assert len([1 for _, name, _, frame in net.carried if name == "client" and frame[0] == 16]) == (
        UNACKNOWLEDGED_LIMIT
    )
    net.come_back(0)
    net.run(60, done=lambda: len(net.received("server")) == 3000)
    assert net.received("server") == b"x" * 3000
    stream = Reassembly(window=1 << 20)
    for at in range(UNACKNOWLEDGED_LIMIT):
        stream.add_record(2 * at + 2, b"x")
    with pytest.raises(errors.WindowExceeded):
        stream.add_record(2 * UNACKNOWLEDGED_LIMIT + 2, b"x")


def test_a_flood_of_pings_is_answered_once() -> None:
    """Answers are not queued: what a peer asks while it does not read costs nothing."""
    net = Net(0.01, 0.02)
    sealer = ControlSealer(net.keys, "server", 0)
    for number in range(1000):
        net.client.receive(0, sealer.seal(ControlMessage(0, 1 << 20, ping=number + 1)), 0.0)
    assert net.client.data_to_send(0, 0.0)
    assert not net.client.data_to_send(0, 0.0)


def test_a_peer_that_acknowledges_nothing_costs_the_first_window_and_no_more() -> None:
    net = Net(0.01, 0.02)
    for wire in net.wires.values():
        wire.hand = lambda sender, number, frame: [frame] if sender == "client" else []
    net.client.write(bytes(20 << 20))
    net.run(30)
    carried = {frame for _, name, _, frame in net.carried if name == "client" and frame[0] == 16}
    assert sum(len(frame) - 28 for frame in carried) == INITIAL_WINDOW


@pytest.mark.parametrize("count", [1, 100_000, 1 << 20, 20 << 20])
def test_the_window_grows_by_what_is_acknowledged_to_its_limit(count: int) -> None:
    stream = SendingStream(data_chain(fresh_keys(), "server"), 8 << 20)
    assert stream.window == INITIAL_WINDOW
    stream.write(bytes(count))
    while stream.unsent:
        while stream.next_record() is not None:
            assert stream.held_bytes - stream.unsent <= stream.window
        stream.acknowledge(stream.next_dsn, stream.next_dsn + (8 << 20), ())
    assert stream.window == min(8 << 20, INITIAL_WINDOW + count)
    assert stream.held_bytes == 0
    stream.limit_window(1 << 16)
    assert stream.window == 1 << 16
    stream.limit_window(1 << 30)
    assert stream.window == min(8 << 20, INITIAL_WINDOW + count)


def test_a_record_that_arrived_is_not_sent_again() -> None:
    stream = SendingStream(data_chain(fresh_keys(), "server"), 8 << 20)
    stream.write(bytes(200))
    first, second = stream.next_record(100), stream.next_record(100)
    assert first is not None
    assert second is not None
    stream.acknowledge(0, 8 << 20, ((second.dsn, second.end),))
    stream.schedule_retransmission(first)
    stream.schedule_retransmission(second)
    assert stream.pending_retransmissions() == [first]


def test_a_receiver_takes_nothing_back_that_it_granted_and_counts_all_that_it_keeps() -> None:
    incoming = Reassembly(1000)
    incoming.limit_window(100)
    assert incoming.limit == 1000
    assert incoming.add_record(200, bytes(100)) == []
    assert incoming.held_bytes == 100
    assert incoming.add_record(0, bytes(200)) == [bytes(200), bytes(100)]
    assert incoming.held_bytes == 300
    incoming.consume(300)
    assert (incoming.held_bytes, incoming.limit) == (0, 1000)
    incoming.add_record(300, bytes(650))
    incoming.consume(650)
    assert incoming.limit == 1050
    incoming.add_record(1000, bytes(10))
    incoming.discard()
    assert incoming.held_bytes == 0


@pytest.mark.parametrize("limit", [1 << 16, 1 << 20, 4 << 20])
def test_a_stream_gets_through_whatever_the_receivers_window_shrinks_to(limit: int) -> None:
    """The application consumes late, so that the sender waits for nothing but the new limit."""
    net = Net(0.01, 0.02)
    net.reading = False
    net.server.limit_windows(limit)
    size, consumed = 10 << 20, 0
    net.client.write(bytes(size))
    while consumed < size:
        net.run(net.now + 3)
        arrived = len(net.received("server")) - consumed
        assert arrived > 0
        net.server.consume(arrived)
        consumed += arrived


def test_a_session_counts_what_it_holds_both_ways_and_of_partial_frames() -> None:
    keys = fresh_keys()
    server = Session(same_keys(keys), "server")
    server.add_path(0, FrameReader(), 0.0, 0.0)
    frame = seal(data_chain(keys, "client"), 0, bytes(1000)).frame
    server.receive(0, frame[:500], 0.0)
    assert server.held_bytes == 500
    server.receive(0, frame[500:], 0.0)
    assert server.held_bytes == 1000
    server.consume(1000)
    assert (server.held_bytes, server.progress) == (0, 1000)
    server.write(bytes(1 << 20))
    while server.data_to_send(0, 0.0):
        pass
    assert server.held_bytes == 1 << 20
    assert server.send_window == INITIAL_WINDOW
    server.limit_windows(1 << 16)
    assert server.send_window == 1 << 16
    server.abort()
    assert server.held_bytes == 0


def test_a_peer_that_says_it_has_room_for_everything_costs_a_window_and_no_more() -> None:
    keys = fresh_keys()
    server = Session(same_keys(keys), "server", 1 << 20)
    server.add_path(0, FrameReader(), 0.0, 0.0)
    boundless = ControlSealer(keys, "client", 0).seal(ControlMessage(0, limit=DSN_LIMIT))
    server.receive(0, boundless, 0.0)
    server.write(bytes(4 << 20))
    kept = 0
    while frame := server.data_to_send(0, 0.0):
        kept += len(frame) if frame[0] == FrameType.DATA else 0
    assert kept <= (1 << 20) + 32 * OVERHEAD


def test_an_acknowledgement_of_what_was_never_sent_ends_the_session() -> None:
    for control in (
        ControlMessage(1, 1 << 20),
        ControlMessage(0, 1 << 20, ranges=((5, 6),)),
        ControlMessage(0, 1 << 20, pong=1),
    ):
        net = Net(0.01, 0.02)
        frame = ControlSealer(net.keys, "server", 0).seal(control)
        failed = [e for e in net.client.receive(0, frame, 0.0) if isinstance(e, SessionFailed)]
        assert [type(event.error) for event in failed] == [errors.MisusedStream]


def test_an_acknowledgement_of_a_part_of_a_record_ends_the_session() -> None:
    net = Net(0.01, 0.02)
    net.client.write(b"a record")
    assert net.client.data_to_send(0, 0.0)
    frame = ControlSealer(net.keys, "server", 0).seal(ControlMessage(1, 1 << 20))
    assert failures_after(net, frame) == [errors.MisusedStream]


@given(
    acknowledged=st.integers(0, 1 << 62),
    final=st.none() | st.integers(0, 1 << 62),
    steps=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 1 << 20)), max_size=31),
    numbers=st.frozensets(st.integers(0, 255), max_size=16),
    ping=st.none() | st.integers(0, 1 << 62),
)
def test_a_control_message_is_read_as_it_was_written(
    acknowledged: int,
    final: int | None,
    steps: list[tuple[int, int]],
    numbers: frozenset[int],
    ping: int | None,
) -> None:
    ranges, at = [], acknowledged
    for gap, length in steps:
        ranges.append((at + gap, at + gap + length))
        at += gap + length
    control = ControlMessage(
        acknowledged, 5, 6, final, None, tuple(ranges), ping, ping, numbers, numbers, 1, 2, 1, True
    )
    assert ControlMessage.parse(control.encode()) == control
    assert len(control.encode()) <= 496


@given(st.binary(max_size=400))
def test_whatever_a_control_message_holds_it_is_read_or_refused(items: bytes) -> None:
    try:
        ControlMessage.parse(items)
    except errors.MalformedMessage:
        return


# --- key epochs


def test_both_ends_change_keys_at_the_same_byte(sealed: dict) -> None:  # type: ignore[type-arg]
    """Every 16 MiB, without a message, also for what is sent again from before it."""
    start = EPOCH_LENGTH - 300_000
    net = Net(0.01, 0.02, start=start)
    lost = []

    def swallow(sender: str, number: int, frame: bytes) -> list[bytes]:
        if frame[0] == 16 and len(lost) < 3:
            lost.append(frame)
            return []
        return [frame]

    net.wires[0].hand = swallow
    net.client.write(DATA)
    net.server.write(DATA)
    net.client.end()
    net.server.end()
    net.run()
    assert net.received("server") == DATA
    assert net.received("client") == DATA
    assert lost
    assert len({key for (key, _), input_ in sealed.items() if input_[0] == FrameType.DATA}) == 4


def test_a_position_beyond_the_next_epoch_closes_its_path_and_derives_nothing() -> None:
    net = Net(0.01, 0.02, 0.03, 0.04)
    for path, epoch in enumerate((2, 3, 1 << 37)):
        far = seal(data_chain(net.keys, "server", min(epoch, 3)), min(epoch, 3) << EPOCH_SHIFT, b"far").frame
        far = far[:4] + (epoch << EPOCH_SHIFT).to_bytes(8, "big") + far[12:]
        net.client.receive(path, far, 0.0)
    assert net.client.paths == [3]
    assert net.client._incoming.keys.epoch == 0
    near = seal(data_chain(net.keys, "server"), 0, b"near").frame
    assert net.client.receive(3, near, 0.0) == [DataReceived(b"near")]


def test_a_record_of_the_next_epoch_that_comes_first_is_opened() -> None:
    start = EPOCH_LENGTH - 10
    net = Net(0.01, start=start)
    chain = data_chain(net.keys, "server")
    before, behind = (seal(chain, dsn, bytes(10)).frame for dsn in (start, EPOCH_LENGTH))
    assert net.client.receive(0, behind, 0.0) == []
    assert net.client.receive(0, behind, 0.0) == []
    events = net.client.receive(0, before, 0.0)
    assert events == [DataReceived(bytes(10)), DataReceived(bytes(10))]


def test_keys_are_erased_once_sealed_and_once_the_stream_has_passed() -> None:
    """A stolen state of an end opens nothing of earlier epochs, sealed or received."""
    start = EPOCH_LENGTH - 10
    net = Net(0.01, start=start)
    net.server.write(bytes(10))
    frame = net.server.data_to_send(0, 0.0)
    assert net.client.receive(0, frame, 0.0) == [DataReceived(bytes(10))]
    for keys in (net.server._out.keys, net.client._incoming.keys):
        assert keys.epoch == 1
        assert keys.find_key(0) is None
    with pytest.raises(ValueError, match="erased"):
        seal(net.server._out.keys, start, bytes(10))
    with pytest.raises(errors.StepChanged):
        net.server._steps.keys.root("server data")
    # a late copy cannot be opened any more; what it repeats was received
    assert net.client.receive(0, frame, 0.0) == []
    assert net.client.paths == [0]


def test_an_idle_session_frees_what_its_keys_can_make_again() -> None:
    net = Net(0.01, 0.02)
    net.client.write(b"before")
    net.run(1)
    chains = [chain for end in net.ends.values() for chain in (end._out.keys, end._incoming.keys)]
    assert any(chain._key is not None and chain._key._cipher is not None for chain in chains)
    net.run(2 * PING_INTERVAL)
    assert all(chain._key is None or chain._key._cipher is None for chain in chains)
    for end in net.ends.values():
        for path in end._paths.open.values():
            for side in (path.sealer, path.opener):
                assert side._key is not None
                assert side._key._cipher is None
    net.client.write(b" and after")
    net.run(2 * PING_INTERVAL + 1)
    assert net.received("server") == b"before and after"


def test_a_window_reaches_no_further_than_the_next_epoch() -> None:
    with pytest.raises(ValueError, match="next key epoch"):
        Session(fresh_keys(), "client", EPOCH_LENGTH + 1)


# --- the paths of a session


def test_a_path_is_removed_at_both_ends_and_its_number_never_used_again() -> None:
    net = Net(0.01, 0.02)
    net.client.write(DATA)
    net.run(0.015)
    net._note("client", net.client.remove_path(0))
    net.client.end()
    net.server.end()
    net.run()
    assert net.received("server") == DATA
    for name, end in net.ends.items():
        (dropped,) = net.kinds(name, PathDropped)
        assert isinstance(dropped, PathDropped)
        assert (dropped.path, dropped.error) == (0, None)
        assert not end.can_add_path(0)


def test_the_last_path_cannot_be_removed() -> None:
    net = Net(0.01)
    with pytest.raises(ValueError, match="last"):
        net.client.remove_path(0)


def test_paths_are_bounded() -> None:
    session = Session(fresh_keys(), "server")
    for path in range(MAXIMUM_PATHS):
        session.add_path(path, FrameReader(), 0.01, 0.0)
    with pytest.raises(errors.MisusedStream):
        session.add_path(MAXIMUM_PATHS, FrameReader(), 0.01, 0.0)
    session.path_lost(0)
    assert not session.can_add_path(0)
    assert session.can_add_path(MAXIMUM_PATH_NUMBER)
    assert not session.can_add_path(MAXIMUM_PATH_NUMBER + 1)


def test_a_backup_carries_nothing_while_another_works() -> None:
    net = Net(0.01, 0.02)
    net.server.set_backup(0, True)
    net.run(1)
    before = len(net.carried)
    net.client.write(DATA)
    net.run(3)
    data = {path for _, _, path, frame in net.carried[before:] if frame[0] == 16}
    assert data == {1}
    net.wires[1].blackhole = True
    net.client.write(DATA)
    net.run(9, done=lambda: len(net.received("server")) == 2 * len(DATA))
    assert net.received("server") == DATA * 2


def test_the_edge_asks_once_for_the_service_port_to_be_left() -> None:
    net = Net(0.01, 0.02)
    net.server.ask_to_rehome()
    net.run(1)
    net.server.set_backup(1, True)
    net.run(2)
    assert net.kinds("client", RehomeRequested) == [RehomeRequested()]


# --- schedulers


def carriers_of(net: Net, sender: str) -> dict[int, int]:
    """Data frames by path."""
    counts: dict[int, int] = {}
    for _, name, path, frame in net.carried:
        if name == sender and frame[0] == 16:
            counts[path] = counts.get(path, 0) + 1
    return counts


@pytest.mark.parametrize("scheduler", Scheduler)
def test_the_edge_sends_as_the_client_asks(scheduler: Scheduler) -> None:
    net = Net(0.01, 0.03, scheduler=scheduler)
    net.run(1)
    assert net.server.scheduler is scheduler
    for wire in net.wires.values():
        wire.rate = 20e6
    net.server.write(DATA * 4)
    net.server.end()
    net.client.end()
    net.run()
    assert net.received("client") == DATA * 4
    counts = carriers_of(net, "server")
    if scheduler is Scheduler.LOWEST_LATENCY:
        assert list(counts) == [0]
    elif scheduler is Scheduler.AGGREGATE:
        assert min(counts[0], counts[1]) > 0.3 * max(counts.values())
    else:
        assert counts[0] == -(-len(DATA) * 4 // INITIAL_WINDOW_RECORD_LIMIT)
        assert counts[1] > 0.3 * counts[0]


def test_aggregate_is_quicker_than_one_path_and_redundant_needs_no_second_try() -> None:
    ends = {}
    for scheduler in Scheduler:
        net = Net(0.02, 0.03, scheduler=scheduler)
        for wire in net.wires.values():
            wire.rate = 2e6
        net.run(1)
        net.server.write(DATA * 4)
        net.run(30, done=lambda net=net: len(net.received("client")) == 4 * len(DATA))  # type: ignore[misc]
        ends[scheduler] = net.now
    assert ends[Scheduler.AGGREGATE] < 1 + 0.7 * (ends[Scheduler.LOWEST_LATENCY] - 1)
    net = Net(0.02, 0.03, scheduler=Scheduler.REDUNDANT)
    net.run(1)
    net.wires[0].blackhole = True
    net.server.write(b"at once")
    net.run(30, done=lambda: net.received("client") == b"at once")
    assert net.now == pytest.approx(1.03, abs=0.005)


def test_a_path_a_little_faster_is_not_worth_a_change() -> None:
    assert fastest_path({0: 0.10, 1: 0.09}, 0) == 0
    assert fastest_path({0: 0.10, 1: 0.07}, 0) == 1
    assert fastest_path({1: 0.5}, 0) == 1
    assert fastest_path({}, 0) is None


def test_a_third_path_that_joins_later_takes_over_when_it_is_faster() -> None:
    net = Net(0.05, 0.06)
    net.join(2, Wire(0.005), join=b"j" * 32)
    net.client.write(DATA)
    net.client.end()
    net.server.end()
    net.run()
    assert net.received("server") == DATA
    assert list(carriers_of(net, "client")) == [2]


# --- an authenticated peer that breaks the rules, and a caller that does


def failures_after(net: Net, *frames: bytes) -> list[type[errors.SmkexError]]:
    events = [event for frame in frames for event in net.client.receive(0, frame, 0.0)]
    return [type(event.error) for event in events if isinstance(event, SessionFailed)]


def test_the_end_of_a_stream_does_not_move_and_nothing_lies_behind_it() -> None:
    for said in (
        (ControlMessage(final=5), ControlMessage(final=6)),
        (b"12345", ControlMessage(final=4)),
        (ControlMessage(final=4), b"12345"),
    ):
        net = Net(0.01, 0.02)
        sealer, keys = ControlSealer(net.keys, "server", 0), data_chain(net.keys, "server")
        frames = [seal(keys, 0, s).frame if isinstance(s, bytes) else sealer.seal(s) for s in said]
        assert failures_after(net, *frames) == [errors.MisusedStream]


def test_records_that_overlap_in_any_way_are_refused() -> None:
    stream = Reassembly(window=100)
    stream.add_record(20, bytes(10))
    with pytest.raises(errors.Overlap):
        stream.add_record(0, bytes(25))
    stream = Reassembly(window=100)
    assert stream.add_record(0, bytes(10)) == [bytes(10)]
    assert stream.add_record(0, bytes(10)) == []
    with pytest.raises(errors.Overlap):
        stream.add_record(5, bytes(10))


def test_ranges_name_the_lowest_gaps_and_join_neighbours() -> None:
    stream = Reassembly(window=100)
    for dsn in (10, 15, 30, 50):
        stream.add_record(dsn, bytes(5))
    assert stream.ranges(2) == ((10, 20), (30, 35))
    assert stream.ranges(9) == ((10, 20), (30, 35), (50, 55))
    assert [stream.has_record(dsn) for dsn in (0, 10, 12, 50)] == [False, True, False, True]


def test_a_record_is_of_one_to_65536_bytes_below_the_last_dsn() -> None:
    keys = data_chain(fresh_keys(), "client")
    for dsn, length in ((0, 0), (0, RECORD_DATA_LIMIT + 1), (DSN_LIMIT - 1, 2)):
        with pytest.raises(ValueError, match="a record of"):
            seal(keys, dsn, bytes(length))
    record = seal(keys, 1, b"x")
    assert unseal(keys, record.frame) == (1, b"x")
    with pytest.raises(errors.MalformedMessage, match="carries no data"):
        unseal(keys, record.frame[:-1])


def test_a_control_message_without_a_tag_closes_its_path() -> None:
    net = Net(0.01, 0.02)
    events = net.client.receive(0, encode_frame(FrameType.CONTROL, bytes(15)), 0.0)
    assert [type(event.error) for event in events if isinstance(event, PathDropped)] == [
        errors.MalformedMessage
    ]


def test_what_was_ended_takes_no_more_and_ends_once() -> None:
    net = Net(0.01, 0.02)
    net.client.write(b"")
    net.client.write(b"all")
    net.client.end()
    net.client.end()
    with pytest.raises(ValueError, match="ended"):
        net.client.write(b"more")
    net.server.end()
    net.run()
    assert net.received("server") == b"all"


def test_a_session_that_is_over_does_nothing_more() -> None:
    net = Net(0.01, 0.02)
    net.client.abort()
    net.client.abort(errors.Overloaded())
    net.client.write(b"too late")
    assert net.client.unsent == 0
    assert net.client.data_to_send(7, 0.0) == b""
    assert net.client.data_to_send(0, 0.0)[0] == FrameType.CONTROL
    assert net.client.data_to_send(0, 0.0) == b""
    assert net.client.path_lost(0) == []
    assert net.client.on_timer(1.0) == []
    assert not net.client.can_add_path(2)


def test_what_a_session_tells_of_its_paths() -> None:
    net = Net(0.01, 0.02)
    net.client.path_lost(0)
    assert net.client.paths == [1]
    assert sorted(net.client.used_paths) == [0, 1]
    assert net.client.rtt(0) is None
    assert net.client.bytes_transferred(0) == (0, 0)
    assert net.client.rtt(1) == pytest.approx(0.04)
    chain = data_chain(net.keys, "client")
    assert [repr(one) for one in (net.keys, chain, chain.find_key(0))] == [
        f"{name}(redacted)" for name in ("KeySchedule", "EpochChain", "AeadKey")
    ]


def test_a_priority_set_before_there_is_a_path_is_sent_on_the_first() -> None:
    session = Session(fresh_keys(), "client", scheduler=Scheduler.REDUNDANT)
    session.set_backup(1, True)
    session.set_backup(1, False)
    session.add_path(0, FrameReader(), 0.01, 0.0)
    assert session.data_to_send(0, 0.0)[0] == FrameType.CONTROL


def test_a_path_of_a_session_is_alive_while_it_is_open() -> None:
    net = Net(0.01, 0.02)
    assert net.client.is_alive(1, 0.0)
    net.client.path_lost(1)
    assert not net.client.is_alive(1, 0.0)


# --- messages that one path holds back


def test_a_control_message_held_back_on_one_path_undoes_nothing_newer() -> None:
    """An attacker delays what it cannot read: paths and scheduler stay as they were stated last."""
    net = Net(0.01, 0.02, scheduler=Scheduler.AGGREGATE)
    held = ControlSealer(net.keys, "client", 0)
    old = held.seal(ControlMessage(backup=frozenset({1}), backup_state=1, scheduler=2, scheduler_state=1))
    newer = ControlSealer(net.keys, "client", 1)
    now = ControlMessage(backup=frozenset(), backup_state=2, scheduler=3, scheduler_state=2)
    net.server.receive(1, newer.seal(now), 0.0)
    net.server.receive(0, old, 0.0)
    assert net.server.scheduler is Scheduler.REDUNDANT
    assert net.server._paths.peer_backup == frozenset()
    unknown = ControlMessage(scheduler=99, scheduler_state=3)
    net.server.receive(1, newer.seal(unknown), 0.0)
    assert net.server.scheduler is Scheduler.REDUNDANT
    net.server.receive(1, newer.seal(ControlMessage(scheduler=1, scheduler_state=2)), 0.0)
    assert net.server.scheduler is Scheduler.REDUNDANT


def test_each_change_of_backup_and_scheduler_has_a_higher_number() -> None:
    net = Net(0.01, 0.02)
    for backup in (True, False, True):
        net.client.set_backup(1, backup)
        net.run(net.now + 1)
        assert bool(net.server._paths.peer_backup) is backup


@pytest.mark.parametrize("delay", [0.001, 0.04])
def test_what_an_answer_waited_is_not_taken_for_latency_of_the_path(delay: float) -> None:
    net = Net(delay)
    net.client.write(b"x" * 1000)
    net.run(1)
    rtt = net.client.rtt(0)
    assert rtt is not None
    assert rtt == pytest.approx(2 * delay, abs=0.0003)


@pytest.mark.parametrize("before", [b"", b"queued before"])
@pytest.mark.parametrize("sealed", [0, 1, 3])
def test_lent_bytes_are_kept_as_far_as_they_were_not_sealed(before: bytes, sealed: int) -> None:
    keys = fresh_keys()
    stream, opened = SendingStream(data_chain(same_keys(keys), "client"), 1 << 20), data_chain(keys, "client")
    lent = bytearray(range(200))
    stream.write(before)
    stream.lend(memoryview(lent))
    received = b""

    def take(count: int) -> None:
        nonlocal received
        for _ in range(count):
            record = stream.next_record(50)
            assert record is not None
            received += unseal(opened, record.frame)[1]

    take(sealed)
    stream.keep_lent()
    lent[:] = bytes(len(lent))
    stream.keep_lent()  # nothing is left that was lent
    stream.write(b"after")
    while stream.unsent:
        take(1)
    assert received == before + bytes(range(200)) + b"after"


def test_lending_nothing_and_all_is_no_copy_and_ended_streams_take_none() -> None:
    stream = SendingStream(data_chain(fresh_keys(), "client"), 1 << 20)
    stream.lend(memoryview(b""))
    stream.keep_lent()
    stream.lend(memoryview(b"all"))
    assert stream.next_record() is not None
    stream.keep_lent()
    assert stream.unsent == 0
    stream.end()
    with pytest.raises(ValueError, match="ended"):
        stream.lend(memoryview(b"more"))


def test_a_session_that_is_over_borrows_nothing() -> None:
    net = Net(0.01)
    net.client.abort()
    net.client.lend(memoryview(b"late"))
    net.client.keep_lent()
    assert net.client.unsent == 0
