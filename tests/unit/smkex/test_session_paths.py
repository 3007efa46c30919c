"""Paths that lie, die, stall or swallow: they go one by one, and the stream arrives whole over what is left."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wires import Hand, Net, Wire

from smkex.core import errors
from smkex.core.events import PathDropped, SessionClosed, SessionFailed, StreamEnded
from smkex.core.session.path import (
    ACKNOWLEDGE_DELAY,
    INITIAL_WINDOW_RECORD_LIMIT,
    PING_INTERVAL,
    SILENCE_LIMIT,
    STALLED_LIMIT,
    record_limit,
)
from smkex.core.session.path_scheduler import Scheduler

DATA = bytes(range(256)) * 4000


def arrives_whole(net: Net) -> None:
    net.client.end()
    net.server.end()
    net.run()
    assert net.received("server") == DATA
    for name in ("client", "server"):
        assert net.kinds(name, StreamEnded)
        assert net.kinds(name, SessionClosed)
        assert not net.kinds(name, SessionFailed)


def test_nothing_is_sent_twice_over_paths_that_work() -> None:
    net = Net(0.01, 0.02)
    net.client.write(DATA)
    arrives_whole(net)
    frames = [frame for _, _, _, frame in net.carried if frame[0] == 16]
    assert len(frames) == len(set(frames)) == -(-len(DATA) // INITIAL_WINDOW_RECORD_LIMIT)


def test_records_fit_an_initial_window_unless_the_path_is_near() -> None:
    assert record_limit(0.0) == record_limit(0.0009) == 65536
    assert record_limit(0.001) == record_limit(0.28) == INITIAL_WINDOW_RECORD_LIMIT


def test_what_arrived_before_a_changed_byte_is_not_sent_again() -> None:
    """The end that notices says on that very path, last of all, what it has."""
    net = Net(0.005, 0.02)
    net.wires[0].hand = flip_at(12, number=20)
    net.client.write(DATA)
    arrives_whole(net)
    times_sent: dict[bytes, int] = {}
    for _, sender, _, frame in net.carried:
        if sender == "client" and frame[0] == 16:
            times_sent[frame] = times_sent.get(frame, 0) + 1
    assert set(times_sent.values()) == {1, 2}
    first_again = next(frame for frame, times in times_sent.items() if times == 2)
    assert (
        first_again
        == [frame for _, sender, path, frame in net.carried if (sender, path) == ("client", 0)][20]
    )


def test_after_a_changed_byte_the_stream_goes_on_within_two_round_trips_of_the_slow_path() -> None:
    net = Net(0.005, 0.02)
    for wire in net.wires.values():
        wire.rate = 6.25e6
    net.wires[0].hand = flip_at(12, number=20)
    net.client.write(DATA)
    arrives_whole(net)
    gaps = [after - before for before, after in pairwise(net.times["server"])]
    assert max(gaps) < 2 * 0.04


@pytest.mark.parametrize("at", [0, 1, 5, 14])
def test_a_path_that_dies_loses_nothing(at: int) -> None:
    net = Net(0.01, 0.02)
    net.wires[0].hand = lambda sender, n, frame: [frame] if n < at else None
    net.client.write(DATA)
    arrives_whole(net)


def flip_at(where: int, number: int = 0) -> Hand:
    """Change one byte, in the first large record that is frame `number` of its wire or a later one."""
    hit: list[int] = []
    first = number

    def flip(sender: str, number: int, frame: bytes) -> list[bytes]:
        if not hit and number >= first and frame[0] == 16 and len(frame) > 1000:
            hit.append(number)
            changed = bytearray(frame)
            changed[where] ^= 1
            return [bytes(changed)]
        return [frame]

    return flip


@pytest.mark.parametrize("where", [0, 1, 3, 4, 11, 12, 500, -1])
def test_a_changed_byte_costs_its_path_and_nothing_else(where: int) -> None:
    """Type, length, DSN, ciphertext and tag."""
    net = Net(0.01, 0.02)
    net.wires[0].hand = flip_at(where)
    net.client.write(DATA)
    arrives_whole(net)
    assert 0 not in net.server.paths


def test_a_length_made_greater_in_the_last_record_stalls_two_round_trips_and_an_acknowledgements_delay() -> (
    None
):
    """The reader waits for bytes that are never sent: only the sender can notice."""
    net = Net(0.05, 0.06)

    def lengthen(sender: str, number: int, frame: bytes) -> list[bytes]:
        return [frame[:3] + bytes([frame[3] ^ 0x10]) + frame[4:] if frame[0] == 16 else frame]

    net.wires[0].hand = lengthen
    net.client.write(b"the last record")
    net.run(5, done=lambda: net.received("server") == b"the last record")
    assert net.received("server") == b"the last record"
    assert net.now == pytest.approx(2 * 0.1 + ACKNOWLEDGE_DELAY + 0.06, abs=0.001)
    assert net.client.stalled(0)


def test_what_is_sent_again_is_the_same_ciphertext() -> None:
    net = Net(0.01, 0.02)
    net.wires[0].blackhole = True
    net.client.write(b"twice")
    net.run(1)
    frames = [(path, frame) for _, name, path, frame in net.carried if name == "client" and frame[0] == 16]
    assert [path for path, _ in frames] == [0, 1]
    assert frames[0][1] == frames[1][1]


def test_a_stall_lasts_no_longer_than_a_second_however_long_the_way() -> None:
    net = Net(0.8, 0.9)
    net.wires[0].blackhole = True
    net.client.write(b"late")
    net.run(10, done=lambda: net.received("server") == b"late")
    assert net.now == pytest.approx(1.0 + 0.9, abs=0.001)


def test_a_stalled_path_is_avoided_and_chosen_again_when_it_answers() -> None:
    net = Net(0.01, 0.03)
    net.wires[0].blackhole = True
    net.client.write(b"1")
    net.run(1)
    assert net.client.stalled(0)
    before = len(net.carried)
    net.client.write(b"2")
    net.run(2)
    assert {path for _, _, path, frame in net.carried[before:] if frame[0] == 16} == {1}
    net.come_back(0)
    net.run(3)
    assert not net.client.stalled(0)
    assert net.received("server") == b"12"
    net.run(60)
    assert net.client.preferred_path() == 0
    assert net.client.paths == net.server.paths == [0, 1]


def test_a_path_silent_for_long_is_dropped_while_another_works() -> None:
    net = Net(0.01, 0.03)
    net.run(1)
    net.wires[0].blackhole = True
    net.run(1 + 2 * PING_INTERVAL + STALLED_LIMIT + 1)
    assert net.client.paths == net.server.paths == [1]
    (dropped,) = net.kinds("client", PathDropped)
    assert isinstance(dropped, PathDropped)
    assert dropped.error is None or isinstance(dropped.error, errors.DeadlineMissed)


def test_a_session_whose_paths_are_all_silent_ends_as_truncated() -> None:
    net = Net(0.01, 0.03)
    for wire in net.wires.values():
        wire.blackhole = True
    net.client.write(DATA)
    net.run(SILENCE_LIMIT)
    assert not net.client.over
    net.run(SILENCE_LIMIT + 30)
    (failed,) = net.kinds("client", SessionFailed)
    assert isinstance(failed, SessionFailed)
    assert isinstance(failed.error, errors.Truncated)


def test_the_only_path_is_kept_while_it_is_silent_for_less_than_two_minutes() -> None:
    net = Net(0.01)
    net.wires[0].blackhole = True
    net.client.write(DATA)
    net.run(100)
    assert net.client.paths == [0]
    net.come_back(0)
    arrives_whole(net)


@pytest.mark.parametrize("kind", [16, 17])
def test_a_path_that_takes_frames_out_is_found_out(kind: int) -> None:
    """Records, or control messages: TCP omits nothing, so an attacker does."""
    net = Net(0.01, 0.03)
    taken: list[int] = []

    def swallow(sender: str, number: int, frame: bytes) -> list[bytes]:
        if frame[0] == kind and len(taken) < 2:
            taken.append(number)
            return []
        return [frame]

    net.wires[0].hand = swallow
    net.client.write(DATA)
    arrives_whole(net)
    assert taken
    assert net.kinds("client", PathDropped) or net.kinds("server", PathDropped)


def test_a_path_that_answers_but_carries_no_data_is_dropped() -> None:
    net = Net(0.01, 0.03)
    net.wires[0].hand = lambda sender, number, frame: [frame] if frame[0] == 17 else []
    net.client.write(DATA)
    arrives_whole(net)
    (dropped,) = net.kinds("client", PathDropped)
    assert isinstance(dropped, PathDropped)
    assert isinstance(dropped.error, errors.BadRecord)


def test_a_lost_close_is_said_again_on_another_path() -> None:
    """The final DSN and its acknowledgement go into a path that swallows them."""
    net = Net(0.01, 0.03)
    net.client.write(DATA)
    net.run(5)
    net.wires[0].blackhole = True
    arrives_whole(net)


def test_the_last_acknowledgement_goes_by_every_path() -> None:
    net = Net(0.01, 0.03)
    net.client.write(DATA)
    net.client.end()
    net.run(5)
    net.server.end()

    def swallow_all_of_the_client(sender: str, number: int, frame: bytes) -> list[bytes]:
        return [] if sender == "client" else [frame]

    net.wires[0].hand = swallow_all_of_the_client
    net.run()
    for name in ("client", "server"):
        assert net.kinds(name, SessionClosed)
        assert not net.kinds(name, SessionFailed)


def test_a_fin_without_the_final_position_ends_a_path_and_no_stream() -> None:
    net = Net(0.01, 0.03)
    net.client.write(DATA)
    net.run(0.02)
    net._note("server", net.server.path_lost(0))
    arrives_whole(net)


def test_latency_is_measured_within_the_session() -> None:
    """The handshake measured 20 ms, the path has 200."""
    net = Net(0.01, 0.5)
    net.wires[0].delay = 0.1
    for n in range(40):
        net.client.write(b"x" * 1000)
        net.run(1.0 + n)
    assert net.client.rtt(0) == pytest.approx(0.2, rel=0.3)


@pytest.mark.parametrize(("clients", "taken"), [(0.01, 1), (0.02, 0)])
def test_the_edge_answers_on_the_clients_path_unless_another_is_clearly_faster(
    clients: float, taken: int
) -> None:
    net = Net(0.01, clients)
    assert net.server.preferred_path() == 0
    net.client._paths.open[1].base = 0.001
    net.client._paths.current = 1
    net.client.write(b"request")
    net.run(0.5, done=lambda: bool(net.received("server")))
    net.server.write(b"answer")
    net.run(0.6, done=lambda: bool(net.received("client")))
    records = [(sender, path) for _, sender, path, frame in net.carried if frame[0] == 16]
    assert records == [("client", 1), ("server", taken)]


def test_a_peer_that_is_busy_now_and_then_is_no_stalled_path() -> None:
    """Most answers take 40 ms, one in four takes 200: far more than twice what is usual."""
    net = Net(0.02, 0.5)
    for n in range(80):
        net.wires[0].delay = 0.1 if n % 4 == 3 else 0.02
        net.client.write(b"x" * 1000)
        net.run(1.0 + n)
    sent = [frame for _, sender, _, frame in net.carried if sender == "client" and frame[0] == 16]
    assert len(sent) <= 80 + 3  # 80 + 15 by twice the round-trip time alone


def test_an_idle_path_is_asked_now_and_then() -> None:
    net = Net(0.01, 0.5)
    net.wires[1].delay = 0.005
    net.run(300)
    assert net.client.rtt(1) == pytest.approx(0.01, rel=0.5)
    assert net.client.preferred_path() in (0, 1)
    assert len(net.carried) < 4 * 4 * 300 / PING_INTERVAL


def test_a_path_that_trickles_does_not_hold_the_stream_up() -> None:
    """It makes progress, so it does not stall; but no record waits more than a second."""
    net = Net(0.01, 0.03)
    net.wires[0].rate = 30e3
    net.client.write(DATA)
    net.run(6, done=lambda: len(net.received("server")) == len(DATA))
    assert net.received("server") == DATA
    assert net.now < 5


# --- whatever a subset of the paths does


class Mischief:
    """One path's hand: at each frame of its turn it flips, drops, stalls, repeats, swaps or cuts."""

    def __init__(self, plan: list[tuple[int, str, int]]) -> None:
        self._plan = {turn: (deed, where) for turn, deed, where in plan}
        self._turn = 0
        self._swapped: list[bytes] = []
        self._stalled = False
        self.seen: list[bytes] = []

    def __call__(self, sender: str, number: int, frame: bytes) -> list[bytes] | None:
        deed, where = self._plan.get(self._turn, ("pass", 0))
        self._turn += 1
        self.seen.append(frame)
        if self._stalled:
            return []
        match deed:
            case "flip":
                changed = bytearray(frame)
                changed[where % len(frame)] ^= 1 << (where % 8)
                return [bytes(changed)]
            case "drop":
                return []
            case "stall":
                self._stalled = True
                return []
            case "repeat":
                return [frame, frame]
            case "replay":
                return [self.seen[where % len(self.seen)], frame]
            case "swap":
                self._swapped.append(frame)
                return []
            case "cut":
                return None
        late, self._swapped = self._swapped, []
        return [frame, *late]


steps = st.lists(
    st.tuples(
        st.floats(0.001, 2.0),
        st.sampled_from(["join", "join hostile", "remove", "blackhole", "come back", "cut", "backup"]),
        st.integers(0, 7),
        st.sampled_from(["client", "server"]),
    ),
    max_size=10,
)
deeds = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from(["flip", "drop", "stall", "repeat", "replay", "swap", "cut"]),
        st.integers(0, 1 << 20),
    ),
    max_size=6,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=deeds,
    second=deeds,
    honest=st.integers(0, 2),
    scheduler=st.sampled_from(Scheduler),
    sizes=st.tuples(st.integers(0, 600_000), st.integers(0, 600_000)),
    delays=st.permutations([0.01, 0.03, 0.08]),
)
def test_while_one_path_is_honest_both_streams_arrive_whole_and_in_order(
    first: list[tuple[int, str, int]],
    second: list[tuple[int, str, int]],
    honest: int,
    scheduler: Scheduler,
    sizes: tuple[int, int],
    delays: list[float],
) -> None:
    net = Net(*delays, scheduler=scheduler)
    for path, plan in zip([p for p in range(3) if p != honest], (first, second), strict=True):
        net.wires[path].hand = Mischief(plan)
    sent = [DATA[:size] for size in sizes]
    net.client.write(sent[0])
    net.server.write(sent[1])
    net.client.end()
    net.server.end()
    net.run(100)
    assert net.received("server") == sent[0]
    assert net.received("client") == sent[1]
    assert honest in net.client.paths or net.client.over
    for name in ("client", "server"):
        assert net.kinds(name, SessionClosed)
        assert not net.kinds(name, SessionFailed)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, plan=deeds, scheduler=st.sampled_from(Scheduler), rate=st.sampled_from([1e5, 1e6, 50e6]))
def test_paths_may_come_and_go_in_any_order_while_one_stays(
    steps: list[tuple[float, str, int, str]],
    plan: list[tuple[int, str, int]],
    scheduler: Scheduler,
    rate: float,
) -> None:
    net = Net(0.05, 0.02, scheduler=scheduler)
    for wire in net.wires.values():
        wire.rate = rate
    for name, end in net.ends.items():
        end.write(DATA[: 400_000 + len(name)])
    for after, deed, which, end_name in steps:
        net.run(net.now + after)
        path = sorted(net.wires)[which % len(net.wires)]
        if deed.startswith("join"):
            number = max(net.wires) + 1
            if all(end.can_add_path(number) for end in net.ends.values()):
                hand = Mischief(plan) if deed == "join hostile" else Wire(0).hand
                net.join(number, Wire(0.01, hand=hand), join=bytes([number]) * 32)
        elif path == 0:
            continue
        elif deed == "remove" and len(net.ends[end_name].paths) > 1 and path in net.ends[end_name].paths:
            net._note(end_name, net.ends[end_name].remove_path(path))
        elif deed == "blackhole":
            net.wires[path].blackhole = True
        elif deed == "come back":
            net.come_back(path)
        elif deed == "cut":
            net.wires[path].hand = lambda sender, number, frame: None
        elif deed == "backup":
            net.ends[end_name].set_backup(path, True)
    for end in net.ends.values():
        end.end()
    net.run(net.now + 200)
    for name, end_name in (("client", "server"), ("server", "client")):
        assert net.received(end_name) == DATA[: 400_000 + len(name)]
        assert net.kinds(name, SessionClosed)
        assert not net.kinds(name, SessionFailed)
