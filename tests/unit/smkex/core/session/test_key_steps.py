"""Key steps: both ends go over together, whatever paths do meanwhile, and who held the state before is out."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wires import OTHER, Net, Wire, fresh_keys, same_keys

from lab.attack.stolen_state import SuppressingThief
from smkex.core import errors
from smkex.core.events import DataReceived, PathDropped, SessionClosed, SessionFailed, StepCompleted
from smkex.core.keys.epoch_chain import EPOCH_LENGTH, EPOCH_SHIFT, EpochChain
from smkex.core.keys.key_schedule import STEP_ROOTS
from smkex.core.session import key_steps
from smkex.core.session.control_message import ControlMessage
from smkex.core.session.key_steps import (
    APART,
    ATTEMPT_INTERVAL,
    ATTEMPT_LIMIT,
    ATTEMPTS_BURST,
    CHECK_INTERVAL,
    EPOCH_LAG,
    FALLBACK_WAIT,
    ONE_PATH,
    PROVEN,
    SECOND_PATH_WAIT,
    STEP_INTERVAL,
    STEP_LIMIT,
    SWITCH_LIMIT,
    TWO_PATHS,
    StepSettings,
)
from smkex.core.session.step_exchange import StepAnswerer, StepAttempt
from smkex.core.session.step_message import (
    StepKind,
    StepMessage,
    encode_step_answer,
    encode_step_binding,
    encode_step_finished,
    encode_step_nonce,
    encode_step_share,
)
from smkex.core.wire.frame import STEP_TYPE, SWITCH_TYPE, FrameType
from smkex.core.wire.named_group import NamedGroup

CLASSICAL = NamedGroup.X25519
QUICK = StepSettings(group=CLASSICAL)  # the hybrid is tested with the vectors
DATA = bytes(range(256)) * 4000


def net_of(*delays: float, **options: Any) -> Net:
    return Net(*(delays or (0.01, 0.02)), **{"steps": QUICK, **options})


def finish(net: Net, *sent: bytes) -> None:
    """End both streams; all of it arrives, whole and in order."""
    net.client.end()
    net.server.end()
    net.run(net.now + 300)
    assert (net.received("server"), net.received("client")) == sent
    for name in ("client", "server"):
        assert net.kinds(name, SessionClosed)
        assert not net.kinds(name, SessionFailed)


def steps_of(net: Net) -> tuple[int, int]:
    return net.client.step, net.server.step


def make_step(net: Net, by: str = "client") -> None:
    before = net.client.step
    net.request_step(by)
    net.run(net.now + 1.9 * STEP_INTERVAL, done=lambda: steps_of(net) == (before + 1, before + 1))
    assert steps_of(net) == (before + 1, before + 1)
    net.run(net.now + ATTEMPT_INTERVAL)


def know_ingress(net: Net, name: str, *edges: int) -> None:
    """Let one end take these edges for where the paths enter the CDN, 0 where it does not know."""
    for path, edge in enumerate(edges):
        net.ends[name]._paths.open[path].ingress = edge


def only_error(net: Net, name: str) -> errors.SmkexError:
    (failed,) = net.kinds(name, SessionFailed)
    assert isinstance(failed, SessionFailed)
    return failed.error


# --- both ends go over together


@pytest.mark.parametrize("by", ["client", "server"])
def test_both_ends_make_a_step_and_the_stream_goes_on(by: str) -> None:
    net = net_of()
    net.client.write(DATA)
    net.server.write(DATA)
    net.run(0.03)
    make_step(net, by)
    for end in (net.client, net.server):
        assert end.completed_step == StepCompleted(1, active_on_one=True)
        assert end.completed_step_at > 0
    net.client.write(DATA)
    net.server.write(DATA)
    finish(net, 2 * DATA, 2 * DATA)
    frames = [frame for _, _, _, frame in net.carried if frame[0] == 16]
    assert {frame[4] >> 6 for frame in frames} == {0, 1}
    assert len(frames) == len(set(frames))


def test_more_steps_than_phases_follow_each_other() -> None:
    net = net_of()
    for count in range(1, 7):
        net.client.write(b"more")
        make_step(net, "client")
        assert steps_of(net) == (count, count)
    finish(net, b"more" * 6, b"")


def test_the_hybrid_is_used_where_the_session_has_it() -> None:
    net = net_of(steps=StepSettings())
    make_step(net)
    shares = [len(frame) for _, who, _, frame in net.carried if (who, frame[0]) == ("client", STEP_TYPE)]
    assert max(shares) > 1216
    finish(net, b"", b"")


def test_a_short_session_sends_nothing_for_steps() -> None:
    net = net_of()
    net.client.write(DATA)
    finish(net, DATA, b"")
    assert {frame[0] for _, _, _, frame in net.carried} == {16, 17}


def test_a_step_is_due_by_age_and_by_volume() -> None:
    net = net_of(steps=StepSettings(group=CLASSICAL, age=100.0))
    net.run(99)
    assert steps_of(net) == (0, 0)
    net.run(110)
    assert steps_of(net) == (1, 1)
    net.client.schedule_steps(1e9, len(DATA))
    net.server.schedule_steps(1e9, 1 << 40)
    net.client.write(DATA)
    net.run(net.now + STEP_INTERVAL - 20)
    assert steps_of(net) == (1, 1)
    net.run(net.now + 40)
    assert steps_of(net) == (2, 2)


def test_an_edge_asks_where_its_own_limit_is_lower() -> None:
    net = net_of(steps=StepSettings(group=CLASSICAL, age=1e9))
    net.server.schedule_steps(100.0, 1 << 40)
    net.run(129)
    assert steps_of(net) == (0, 0)
    net.run(200)
    assert steps_of(net) == (1, 1)
    net.run(240)
    assert steps_of(net) == (1, 1)


def test_a_step_asked_for_right_after_another_waits_as_an_attempt_does() -> None:
    net = net_of()
    net.run(1)
    for _ in range(2):
        net.request_step("client")
        net.run(net.now + 1)
    assert steps_of(net) == (1, 1)
    net.run(net.now + ATTEMPT_INTERVAL)
    assert steps_of(net) == (2, 2)


def test_a_session_that_is_over_begins_no_step() -> None:
    net = net_of()
    net.client.abort()
    assert net.client.request_step(0.0) == []
    assert net.client.timer() != net.now


# --- keys


def test_the_keys_before_are_overwritten_and_open_nothing() -> None:
    net = net_of()
    first = {name: end._steps.keys for name, end in net.ends.items()}
    chains = [end._out.keys for end in net.ends.values()] + [end._incoming.keys for end in net.ends.values()]
    secrets = [chain._secret for chain in chains]
    for name in net.ends:
        net.ends[name].write(b"before")
    net.run(1)
    keys = [chain._key for chain in chains]
    make_step(net)
    for secret in secrets:
        assert not any(secret)
    for key in keys:
        assert key is not None
        assert not any(key._key)
    for schedule in first.values():
        for purpose in STEP_ROOTS:
            with pytest.raises(errors.StepChanged):
                schedule.root(purpose)
        assert schedule.root("exporter")
        with pytest.raises(errors.StepChanged):
            schedule.join_mac("server", bytes(32))
    for chain in chains:
        assert chain.find_key(0) is None
        assert chain.find_key(1 << 30) is None


def test_what_was_sealed_before_is_opened_after_the_step_and_then_no_more() -> None:
    """It is sent once, and again as it is, on any path: the step changes nothing of it."""
    net = net_of(0.01, 0.02, 0.03)
    make_step(net)
    held: list[bytes] = []

    def hold(who: str, number: int, frame: bytes) -> list[bytes]:
        if who == "client" and frame[0] == 16 and not held:
            held.append(frame)
            return []
        return [frame]

    for wire in net.wires.values():
        wire.hand = hold
    net.client.write(b"held back")
    net.run(net.now + 0.001)
    assert len(held) == 1
    # the client waits until it is acknowledged; the edge's own step state is what this is about
    incoming = net.server._incoming
    keys = net.server._steps.keys.next_step(b"s" * 32, b"t" * 32)
    incoming.begin_step(EpochChain(keys, "client"))
    incoming.set_step_from(9)
    assert not incoming.settled
    incoming.release_ciphers()
    net.server.receive(2, held[0], net.now)
    assert incoming.next == 9
    assert incoming.settled
    incoming.release_ciphers()
    # what repeats it is dropped unopened, whatever it holds; what lies beyond closes its path
    assert net.server.receive(1, held[0][:-1] + b"?", net.now) == []
    beyond = held[0][:4] + bytes([held[0][4], *held[0][5:11], 9]) + held[0][12:]
    assert [type(event) for event in net.server.receive(1, beyond, net.now)] == [PathDropped]


def test_what_lies_beyond_where_the_step_begins_is_not_opened_under_the_keys_before() -> None:
    net = net_of()
    net.client.write(b"x" * 30)
    frame = net.client.data_to_send(0, 0.0)
    incoming = net.server._incoming
    incoming.begin_step(EpochChain(net.server._steps.keys.next_step(b"s" * 32, b"t" * 32), "client"))
    incoming.set_step_from(29)
    with pytest.raises(errors.MisusedStream):
        incoming.set_step_from(30)
    incoming.set_step_from(29)
    events = net.server.receive(0, frame, 0.0)
    assert [(type(event), type(event.error)) for event in events if isinstance(event, PathDropped)] == [
        (PathDropped, errors.BadRecord)
    ]


def test_a_second_step_erases_what_is_left_of_the_one_two_before() -> None:
    net = net_of()
    incoming, keys = net.server._incoming, net.server._steps.keys
    chains = [incoming.keys]
    for _ in range(2):
        keys = keys.next_step(b"s" * 32, b"t" * 32)
        chains.append(EpochChain(keys, "client"))
        incoming.begin_step(chains[-1])
    assert [any(chain._secret) for chain in chains] == [False, True, True]


def test_a_step_in_a_later_epoch_begins_its_chains_there() -> None:
    start = 5 * EPOCH_LENGTH - 40
    net = net_of(start=start)
    for name in net.ends:
        net.ends[name].write(b"x" * 30)
    net.run(0.1)
    make_step(net)
    for name in net.ends:
        net.ends[name].write(b"y" * 30)
    net.run(net.now + 1)
    for name in net.ends:
        assert net.received(name) == b"x" * 30 + b"y" * 30
        assert net.ends[name]._out.keys.epoch == net.ends[name]._incoming.keys.epoch == 5


@pytest.mark.parametrize("lag", [-2, EPOCH_LAG + 1])
@pytest.mark.parametrize("liar", ["client", "server"])
def test_a_chain_that_begins_anywhere_else_is_refused(liar: str, lag: int) -> None:
    """Deriving a chain from far behind would cost a peer's whole processor."""
    start = 5000 << EPOCH_SHIFT
    net = net_of(start=start)
    net.ends[liar]._out.next_dsn -= lag << EPOCH_SHIFT
    net.request_step("client")
    net.run(1)
    assert isinstance(only_error(net, OTHER[liar]), errors.MisusedStream)


# --- paths


@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize("path", [0, 1])
def test_a_path_that_dies_during_a_step_costs_another_attempt(path: int, at: int) -> None:
    net = net_of(0.01, 0.02, 0.03)
    net.client.write(DATA)
    net.run(0.05)
    wire = net.wires[path]
    since = dict(wire.count)
    wire.hand = lambda who, n, frame: [frame] if n - since[who] < at else None
    net.request_step("client")
    net.server.write(DATA)
    net.run(net.now + 3 * ATTEMPT_LIMIT)
    assert steps_of(net) == (1, 1)
    finish(net, DATA, DATA)


@pytest.mark.parametrize("path", [0, 1])
def test_a_path_that_is_silent_during_a_step_costs_another_attempt(path: int) -> None:
    net = net_of(0.01, 0.02, 0.03)
    net.client.write(DATA)
    net.run(0.05)
    net.wires[path].blackhole = True
    net.request_step("client")
    net.run(net.now + 6)
    net.come_back = net.come_back
    net.come_back(path)
    net.run(net.now + ATTEMPT_LIMIT)
    assert steps_of(net) == (1, 1)
    finish(net, DATA, b"")


def test_an_attempt_that_the_edge_does_not_answer_is_made_again_soon() -> None:
    net = net_of(0.01, 0.02, 0.03)
    net.run(1)
    know_ingress(net, "server", 1, 1, 2)  # the client knows none, and takes the fastest
    net.request_step("client")
    net.run(net.now + 1)
    assert steps_of(net) == (0, 0)
    net.run(net.now + ATTEMPT_INTERVAL + 2 * CHECK_INTERVAL)
    assert steps_of(net) == (1, 1)
    finish(net, b"", b"")


def test_unanswered_attempts_become_rarer_and_an_answer_is_waited_for() -> None:
    net = net_of(0.01, 0.02, 0.03)
    net.run(1)
    know_ingress(net, "client", 1, 2, 0)
    know_ingress(net, "server", 1, 1, 2)  # of each pair that the client takes, both paths enter at one edge
    net.request_step("client")
    begun = []
    until = net.now + 3 * ATTEMPT_LIMIT
    while net.now < until:
        net.run(net.now + CHECK_INTERVAL)
        if not begun or net.client._steps._attempt_at != begun[-1]:
            begun.append(net.client._steps._attempt_at)
    waits = [later - earlier for earlier, later in pairwise(begun)]
    assert len(waits) >= 4
    for count, wait in enumerate(waits, 1):
        patience = min(ATTEMPT_LIMIT, ATTEMPT_INTERVAL * count)
        assert patience <= wait <= patience + 2 * CHECK_INTERVAL


def test_all_paths_that_are_silent_for_minutes_end_no_step() -> None:
    net = net_of()
    net.run(1)
    for wire in net.wires.values():
        wire.blackhole = True
    net.request_step("client")
    net.run(net.now + STEP_LIMIT - 5)
    for path in net.wires:
        net.come_back(path)
    net.run(net.now + STEP_LIMIT)
    assert steps_of(net) == (1, 1)


def test_a_step_that_is_kept_from_happening_ends_the_session() -> None:
    """A thief of the keys takes messages out of its path, and forges the counters."""
    net = net_of(steps=StepSettings())
    thief = SuppressingThief(same_keys(net.keys))
    for path, wire in net.wires.items():
        wire.hand = lambda who, n, frame, path=path: thief.pass_frame(path, who, frame)  # type: ignore[misc]
    net.request_step("client")
    net.run(STEP_LIMIT - 2)
    assert not net.client.over
    net.run(STEP_LIMIT + 2)
    assert isinstance(only_error(net, "client"), errors.StepMissed)
    error = only_error(net, "server")
    assert isinstance(error, errors.PeerAborted)
    assert error.peer_code == errors.AbortCode.STEP_MISSED


def test_over_one_path_a_step_waits_for_a_second_and_heals_against_passive_ones() -> None:
    net = net_of()
    net.run(1)
    net.wires[1].hand = lambda who, n, frame: None
    net.server.write(DATA)
    net.run(7)
    net.client.path_lost(1)
    net.server.path_lost(1)
    net.request_step("client")
    net.run(net.now + SECOND_PATH_WAIT - 2)
    assert steps_of(net) == (0, 0)
    net.run(net.now + 5)
    assert steps_of(net) == (1, 1)
    for end in (net.client, net.server):
        assert end.completed_step == StepCompleted(1, active_on_one=False)


def test_a_session_that_never_had_a_second_path_does_not_wait() -> None:
    """As with transport mptcp."""
    net = net_of(0.01)
    net.request_step("client")
    net.run(1)
    assert steps_of(net) == (1, 1)
    assert net.client.completed_step == StepCompleted(1, active_on_one=False)


def test_an_edge_takes_no_paths_that_are_worse_than_those_that_work() -> None:
    """A thief of the state would name the path that it holds, or joins one of its own."""
    net = net_of()
    net.run(1)
    steps = net.server._steps
    net.join(2, Wire(0.01), b"j" * 32)
    assert steps._rank(0, 0) == steps._rank(0, 9) == ONE_PATH
    assert steps._rank(0, 1) == PROVEN
    assert steps._rank(0, 2) == APART
    net.server._paths.open[2].ingress = 1
    assert steps._rank(0, 2) == TWO_PATHS
    net.server._paths.open[2].ingress = 0
    assert steps._rank(0, 2) == steps._rank(2, 0) == TWO_PATHS
    assert steps._accepts_paths(0, 1, 1.0)
    assert not steps._accepts_paths(0, 2, 1.0)
    assert not steps._accepts_paths(0, 0, 1.0)
    net.server.path_lost(1)
    assert steps._accepts_paths(0, 2, 1.0)
    net.server.path_lost(2)
    assert not steps._accepts_paths(0, 0, 1.0 + FALLBACK_WAIT / 2)
    assert steps._accepts_paths(0, 0, 2.0 + FALLBACK_WAIT)


def test_a_path_joined_since_the_last_step_counts_at_the_client_alone() -> None:
    net = net_of()
    net.join(2, Wire(0.005), b"j" * 32)
    for end in net.ends.values():
        end._paths.open[0].ingress = end._paths.open[1].ingress = 1
    make_step(net)
    assert net.client.completed_step == StepCompleted(1, active_on_one=True)
    assert net.server.completed_step == StepCompleted(1, active_on_one=False)
    make_step(net)
    assert net.server.completed_step == StepCompleted(2, active_on_one=True)


def test_a_thief_that_begins_a_step_over_its_one_path_is_not_answered() -> None:
    net = net_of()
    net.run(1)
    thief = StepAttempt(net.server._steps.keys, CLASSICAL, 1, (0, 0), 0, lambda n: b"t" * n)
    assert net.server._steps.receive(0, thief.share, net.now) is None
    assert not net.server._paths.open[0].outgoing
    make_step(net)


# --- joins


def test_a_join_names_the_step() -> None:
    net = net_of()
    make_step(net)
    with pytest.raises(errors.StepChanged):
        net.server.add_path(2, *[net.server._paths.open[0].reader], 0.01, net.now, b"j" * 32)
    assert net.server.find_join_keys(0) is None
    assert net.server.find_join_keys(1) is net.server._steps.keys
    assert net.client.join_steps == (1,)
    net.join(2, Wire(0.005), b"j" * 32, step=1)
    net.client.write(DATA)
    finish(net, DATA, b"")
    assert net.client.bytes_transferred(2)[0] > 0


def test_a_client_that_lost_every_path_as_the_edge_went_over_joins_under_the_next_step() -> None:
    net = net_of()
    net.client.write(b"one")
    net.run(1)
    for wire in net.wires.values():  # what the edge sends once it has gone over is lost
        wire.hand = lambda who, n, frame: [] if who == "server" and net.server.step == 1 else [frame]
    net.request_step("client")
    net.run(net.now + 1, done=lambda: steps_of(net) == (0, 1))
    assert net.client.join_steps == (0, 1)
    assert net.client.find_join_keys(1) is not None
    net.join(2, Wire(0.01), b"j" * 32, step=1)
    assert steps_of(net) == (1, 1)
    for path in (0, 1):
        net.client.path_lost(path)
        net.server.path_lost(path)
        net.wires[path].cut = True
    net.server.write(b"two")
    finish(net, b"one", b"two")


def test_a_record_under_the_next_step_shows_that_the_edge_has_gone_over() -> None:
    """It may come on another path than the first Switch does."""
    net = net_of()
    net.run(1)
    records: list[bytes] = []

    def keep_records(who: str, number: int, frame: bytes) -> list[bytes]:
        gone_over = who == "server" and net.server.step == 1
        records.extend([frame] * (gone_over and frame[0] == 16))
        return [] if gone_over else [frame]

    for wire in net.wires.values():
        wire.hand = keep_records
    net.request_step("client")
    net.run(net.now + 1, done=lambda: net.server.step == 1)
    net.server.write(b"under step 1")
    net.run(net.now + 0.001)
    assert steps_of(net) == (0, 1)
    events = net.client.receive(0, records[0], net.now)
    assert events == [StepCompleted(1, active_on_one=True), DataReceived(b"under step 1")]
    assert steps_of(net) == (1, 1)


# --- messages that are not as they should be


MESSAGES = {
    StepKind.SHARE: encode_step_share(1, 1, 0, 1, 7, b"s" * 32),
    StepKind.ANSWER: encode_step_answer(1, 1, 7, b"s" * 32),
    StepKind.NONCE: encode_step_nonce(1, 1, b"n" * 32),
    StepKind.BINDING: encode_step_binding(1, 1, b"n" * 32, b"b" * 32) + b"m" * 32,
    StepKind.FINISHED: encode_step_finished(1, 1, b"m" * 32),
}


@pytest.mark.parametrize("kind", StepKind)
def test_a_message_is_read_as_it_was_written_and_refused_when_cut(kind: StepKind) -> None:
    body = MESSAGES[kind]
    message = StepMessage.parse(body, CLASSICAL)
    assert (message.kind, message.step, message.attempt, message.body) == (kind, 1, 1, body)
    for changed in (*(body[:at] for at in range(len(body))), body + b"\0", b"\x06" + body[1:]):
        with pytest.raises(errors.MalformedMessage):
            StepMessage.parse(changed, CLASSICAL)


@given(st.binary(max_size=200), st.sampled_from(NamedGroup))
def test_whatever_a_step_message_holds_it_is_read_or_refused(body: bytes, group: NamedGroup) -> None:
    try:
        StepMessage.parse(body, group)
    except errors.MalformedMessage:
        return


@pytest.mark.parametrize("kind", StepKind)
def test_a_message_of_the_wrong_end_ends_the_session(kind: StepKind) -> None:
    net = net_of()
    to_client = kind in (StepKind.ANSWER, StepKind.BINDING)
    with pytest.raises(errors.UnexpectedMessage):
        net.ends["server" if to_client else "client"]._steps.receive(0, MESSAGES[kind], 0.0)
    # of the right end, without a step in progress: ignored, but for a StepShare on the path that it names
    right = net.ends["client" if to_client else "server"]._steps
    assert right.receive(0, MESSAGES[kind].replace(b"\0\1\0\0", b"\0\2\0\0", 1), 0.0) is None
    if kind is not StepKind.SHARE:
        assert right.receive(0, MESSAGES[kind], 0.0) is None


def both_sides(paths: tuple[int, int] = (0, 1)) -> tuple[StepAttempt, StepAnswerer]:
    keys = fresh_keys()
    drawn = iter(range(1, 9))
    attempt = StepAttempt(keys, CLASSICAL, 1, paths, 0, lambda n: bytes([next(drawn)]) * n)
    share = StepMessage.parse(attempt.share, CLASSICAL)
    answerer = StepAnswerer(
        same_keys(keys), CLASSICAL, share, 0, lambda n: bytes([next(drawn)]) * n, lambda _: (b"", b"")
    )
    return attempt, answerer


def read(body: bytes) -> StepMessage:
    return StepMessage.parse(body, CLASSICAL)


def test_each_message_counts_on_its_own_path_alone() -> None:
    attempt, answerer = both_sides()
    with pytest.raises(errors.WrongPath):
        answerer.receive_nonce(0, read(attempt.nonce))
    binding = answerer.receive_nonce(1, read(attempt.nonce))
    with pytest.raises(errors.WrongPath):
        attempt.receive_answer(1, read(answerer.answer))
    with pytest.raises(errors.WrongPath):
        attempt.receive_binding(0, read(binding))
    attempt.receive_answer(0, read(answerer.answer))
    assert attempt.conclude() is None
    attempt.receive_binding(1, read(binding))
    concluded = attempt.conclude()
    assert concluded is not None
    with pytest.raises(errors.WrongPath):
        answerer.receive_finished(0, read(concluded.finished))
    assert answerer.receive_finished(1, read(concluded.finished)).th == concluded.keys.th
    assert repr(attempt) == "StepAttempt(redacted)"
    assert repr(answerer) == "StepAnswerer(redacted)"


def test_each_byte_of_a_step_counts() -> None:
    """Shares, epochs, paths, both nonces, binding and both MACs: none can be changed on one path unnoticed."""
    attempt, answerer = both_sides()
    binding = answerer.receive_nonce(1, read(attempt.nonce))
    for at in range(13, len(binding)):
        attempt.receive_answer(0, read(answerer.answer))
        attempt.receive_binding(1, read(binding[:at] + bytes([binding[at] ^ 1]) + binding[at + 1 :]))
        with pytest.raises(errors.StepMismatch):
            attempt.conclude()
    for at in (*range(13, 21), *range(23, len(answerer.answer))):
        body = answerer.answer
        attempt.receive_answer(0, read(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]))
        attempt.receive_binding(1, read(binding))
        with pytest.raises(errors.StepMismatch):
            attempt.conclude()
    attempt.receive_answer(0, read(answerer.answer))
    concluded = attempt.conclude()
    assert concluded is not None
    for at in range(13, len(concluded.finished)):
        body = concluded.finished
        with pytest.raises(errors.StepMismatch):
            answerer.receive_finished(1, read(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]))


def test_a_finished_before_the_nonce_proves_nothing() -> None:
    _, answerer = both_sides()
    with pytest.raises(errors.StepMismatch):
        answerer.receive_finished(1, read(MESSAGES[StepKind.FINISHED]))


def test_a_step_share_on_another_path_than_it_says_ends_the_session() -> None:
    net = net_of()
    with pytest.raises(errors.WrongPath):
        net.server._steps.receive(1, MESSAGES[StepKind.SHARE], 0.0)


def test_nonces_that_come_before_their_share_wait_for_it() -> None:
    net = net_of(0.05, 0.01)  # shares go on the faster one first: turn that round
    net.run(1)
    share_on_slow = [frame for _, who, path, frame in net.carried if frame[0] == STEP_TYPE]
    assert share_on_slow == []
    net.client._steps._attempts = 1  # pairs take turns
    net.client._steps._begin_attempt(net.now)
    net.run(net.now + 1)
    assert steps_of(net) == (1, 1)


def test_a_nonce_of_another_attempt_or_a_second_one_is_ignored() -> None:
    net = net_of()
    net.run(1)
    steps = net.server._steps
    attempt = StepAttempt(steps.keys, CLASSICAL, 2, (0, 1), 0, lambda n: b"a" * n)
    steps.receive(1, encode_step_nonce(1, 1, b"n" * 32), net.now)
    steps.receive(0, attempt.share, net.now)
    assert len(net.server._paths.open[1].outgoing) == 0
    steps.receive(1, attempt.nonce, net.now)
    steps.receive(1, attempt.nonce, net.now)
    steps.receive(1, encode_step_nonce(1, 1, b"n" * 32), net.now)
    assert len(net.server._paths.open[1].outgoing) == 1
    assert steps.receive(1, encode_step_finished(1, 1, b"m" * 32), net.now) is None
    steps.receive(0, StepAttempt(steps.keys, CLASSICAL, 3, (0, 1), 0, lambda n: b"b" * n).share, net.now)
    assert len(net.server._paths.open[0].outgoing) == 2
    with pytest.raises(errors.StepMismatch):
        steps.receive(1, encode_step_finished(1, 3, b"m" * 32), net.now)


def test_an_answer_to_a_later_attempt_drops_what_the_one_before_gave() -> None:
    """The edge has not gone over by the one before, as it answers another."""
    net = net_of(0.01, 0.02, 0.03)
    net.run(1)
    lost: list[int] = []

    def lose_finished(who: str, number: int, frame: bytes) -> list[bytes] | None:
        if lost or (who == "client" and frame[0] == STEP_TYPE and net.client._steps.candidate is not None):
            lost.append(number)
            return None
        return [frame]

    for path in (0, 1):
        net.wires[path].hand = lose_finished
    net.request_step("client")
    net.run(net.now + 1)
    assert lost
    assert steps_of(net) == (0, 0)
    before = net.client._steps.candidate
    assert before is not None
    net.run(net.now + 3 * ATTEMPT_LIMIT)
    assert steps_of(net) == (1, 1)
    with pytest.raises(errors.StepChanged):
        before.root("step")
    finish(net, b"", b"")


def test_more_step_shares_than_are_answered_end_the_session() -> None:
    net = net_of()
    net.run(1)
    steps = net.server._steps
    shares = (
        StepAttempt(steps.keys, CLASSICAL, n, (0, 1), 0, lambda n: b"a" * n).share for n in range(1, 99)
    )
    for _ in range(ATTEMPTS_BURST):
        steps.receive(0, next(shares), net.now)
    steps.receive(0, next(shares), net.now + ATTEMPT_INTERVAL)
    sealer = net.client._paths.open[0].sealer
    net.now += ATTEMPT_INTERVAL
    events = net.server.receive(0, sealer.seal_items(next(shares), STEP_TYPE), net.now)
    assert [type(event.error) for event in events if isinstance(event, SessionFailed)] == [
        errors.TooManySteps
    ]


def test_an_edge_that_asks_all_the_time_gets_a_step_a_minute() -> None:
    net = net_of(steps=StepSettings(group=CLASSICAL, age=1e9))
    net.run(1)
    done = net.client._steps
    for _ in range(600):
        done.ask(net.client.step + 1)
        done.ask(net.client.step + 5)
        net.run(net.now + 1)
    assert 9 <= net.client.step <= 10
    net.server._steps.ask(net.server.step + 1)
    assert not net.server._steps._asked


# --- Switch


def test_a_switch_without_a_step_closes_its_path() -> None:
    net = net_of()
    sealer = net.client._paths.open[0].sealer
    events = net.server.receive(0, sealer.seal_items(b"", SWITCH_TYPE), 0.0)
    assert [type(event.error) for event in events if isinstance(event, PathDropped)] == [
        errors.MalformedMessage
    ]


def test_a_switch_under_other_keys_closes_its_path() -> None:
    net = net_of()
    changed: list[int] = []

    def flip(who: str, number: int, frame: bytes) -> list[bytes]:
        if frame[0] == SWITCH_TYPE and not changed:
            changed.append(number)
            return [frame[:-1] + bytes([frame[-1] ^ 1])]
        return [frame]

    net.wires[0].hand = flip
    make_step(net)
    assert net.client.paths == net.server.paths == [1]
    net.client.write(DATA)
    finish(net, DATA, b"")


def test_a_path_that_does_not_follow_is_closed_once_another_has() -> None:
    net = net_of(0.01, 0.02, 0.03)
    net.run(1)
    # what comes from the client on path 2 ends with its Switch, and a ping is answered before
    net.wires[2].hand = lambda who, n, frame: [] if who == "client" and net.client.step else [frame]
    net.request_step("client")
    net.run(net.now + SWITCH_LIMIT - 1)
    assert steps_of(net) == (1, 1)
    assert 2 in net.server.paths
    net.run(net.now + 3)
    assert sorted(net.server.paths) == [0, 1]
    (dropped,) = net.kinds("server", PathDropped)
    assert isinstance(dropped, PathDropped)
    assert (dropped.path, str(dropped.error)) == (2, "the path has not changed its control key")


def test_a_path_two_steps_behind_is_closed_at_once() -> None:
    net = net_of()
    make_step(net)
    steps = net.server._steps
    opener = net.server._paths.open[1].opener
    steps._switch(
        steps.keys.next_step(b"s" * 32, b"t" * 32),
        EpochChain(steps.keys.next_step(b"s" * 32, b"t" * 32), "client"),
        0,
        net.now,
    )
    assert steps.lagging_paths(net.now) == []
    opener.step -= 1
    assert steps.lagging_paths(net.now) == [1]


def test_nothing_is_completed_that_was_not_begun() -> None:
    net = net_of()
    with pytest.raises(errors.UnexpectedMessage):
        net.client._steps.complete(0.0)


def test_the_items_of_steps_are_read_as_they_were_written() -> None:
    control = ControlMessage(step=1 << 40, step_from=77, step_wanted=3)
    assert ControlMessage.parse(control.encode()) == control
    net = net_of()
    message = ControlMessage(step=4, step_from=9)
    net.server.receive(0, net.client._paths.open[0].sealer.seal(message), 0.0)  # of another step: ignored
    assert net.server._incoming.settled


def test_frames_of_steps_have_numbers_of_their_own() -> None:
    assert (FrameType.STEP, FrameType.SWITCH) == (18, 19)
    assert key_steps.STEP_AGE == 600
