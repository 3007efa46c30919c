"""The paths of a session: numbers, backups, the preferred path, and deadlines."""

import pytest
from wires import fresh_keys

from smkex.core.session.control_message import ControlOpener, ControlSealer
from smkex.core.session.path import (
    ESTIMATE_LIFETIME,
    LOADED_LIFETIME,
    NEVER,
    QUEUE_LENGTH,
    SILENCE_LIMIT,
    STALLED_LIMIT,
    Path,
)
from smkex.core.session.path_scheduler import SWITCH_RATIO
from smkex.core.session.path_set import MAXIMUM_PATH_NUMBER, MAXIMUM_PATHS, PathSet
from smkex.core.session.record import SealedRecord
from smkex.core.wire.frame_reader import FrameReader


def open_path(rtt: float) -> Path:
    keys = fresh_keys()
    return Path(ControlSealer(keys, "client", 0), ControlOpener(keys, "server", 0), FrameReader(), rtt, 0.0)


def paths_of(*rtts: float) -> PathSet:
    paths = PathSet()
    for number, rtt in enumerate(rtts):
        paths.add_path(number, open_path(rtt))
    return paths


def test_a_number_is_used_once_and_the_open_paths_are_bounded() -> None:
    paths = paths_of(0.01)
    assert not paths.can_add(0)
    assert paths.can_add(MAXIMUM_PATH_NUMBER)
    assert not paths.can_add(MAXIMUM_PATH_NUMBER + 1)
    assert not paths.can_add(-1)
    paths.remove_path(0)
    assert not paths.can_add(0)
    full = paths_of(*[0.01] * MAXIMUM_PATHS)
    assert not full.can_add(MAXIMUM_PATHS)
    full.remove_path(3)
    assert full.can_add(MAXIMUM_PATHS)


def test_bytes_of_a_closed_path_are_still_counted() -> None:
    paths = paths_of(0.01)
    paths.open[0].sent, paths.open[0].received = 10, 20
    assert paths.bytes_transferred(0) == (10, 20)
    assert paths.remove_path(0) is not None
    assert paths.remove_path(0) is None
    assert paths.bytes_transferred(0) == (10, 20)
    assert paths.bytes_transferred(1) == (0, 0)


@pytest.mark.parametrize("by_peer", [False, True])
def test_a_backup_is_used_only_when_no_other_path_works(by_peer: bool) -> None:
    paths = paths_of(0.01, 0.05)
    if by_peer:
        paths.peer_backup = {0}
    else:
        paths.set_backup(0, True)
    assert (paths.usable_paths(), paths.preferred_path()) == ([1], 1)
    paths.open[1].stalled_at = 0.0
    paths.changed = True
    assert (paths.usable_paths(), paths.preferred_path()) == ([0], 0)
    paths.open[0].stalled_at = 0.0
    assert paths.usable_paths() == [0, 1], "if none works, all are tried"
    assert paths.preferred_path(without={0}) == 1
    assert paths.preferred_path(without={0, 1}) is None


def test_the_preferred_path_changes_only_for_one_that_is_clearly_faster() -> None:
    paths = paths_of(0.1, 0.2)
    assert paths.preferred_path() == 0
    for rtt, changed in ((0.1 * SWITCH_RATIO, False), (0.099 * SWITCH_RATIO, True)):
        paths.open[1].base = rtt
        paths.check_for_faster(0.0)
        assert paths.preferred_path() == changed


def test_the_path_that_the_peer_uses_is_followed_unless_another_is_clearly_faster() -> None:
    paths = paths_of(0.1, 0.11)
    assert paths.preferred_path() == 0
    paths.follow_peer(1, 0.0)
    assert paths.preferred_path() == 1
    paths.add_path(2, open_path(1.0))
    assert paths.preferred_path() == 1
    paths.follow_peer(2, 0.0)
    assert paths.preferred_path() == 1


def test_a_path_whose_latency_was_measured_long_ago_is_asked_before_it_is_preferred() -> None:
    paths = paths_of(0.1, 0.2)
    assert paths.preferred_path() == 0
    idle = paths.open[1]
    idle.base, now = 0.01, ESTIMATE_LIFETIME + 1
    paths.check_for_faster(now)
    assert paths.preferred_path() == 0
    assert (idle.ping_due, idle.state_due) == (True, -NEVER)
    idle.ping_due = False
    idle.track_ping(1, 0, now)
    paths.check_for_faster(now)
    assert not idle.ping_due, "one ping at a time"
    idle.measured_at = now
    paths.check_for_faster(now)
    assert paths.preferred_path() == 1


@pytest.mark.parametrize(
    ("waiting", "returns_at"), [(QUEUE_LENGTH, 1.0), (QUEUE_LENGTH + 1, LOADED_LIFETIME)]
)
def test_a_path_left_with_much_on_it_counts_as_slow_for_a_while(waiting: int, returns_at: float) -> None:
    """Empty it is fast, and would be slow again: it was the session's own queue."""
    paths = paths_of(0.2, 0.1)
    assert paths.preferred_path() == 1
    left = paths.open[1]
    left.track_ping(1, 0, 0.0)
    left.track_record(1, SealedRecord(0, waiting, b""), 0.0)
    left.base = 0.3
    paths.check_for_faster(0.0)
    assert paths.preferred_path() == 0
    left.base, paths.open[0].base = 0.01, 0.3
    for now in (1.0, LOADED_LIFETIME - 0.1, LOADED_LIFETIME):
        left.measured_at = now
        paths.check_for_faster(now)
        assert paths.preferred_path() == (1 if now >= returns_at else 0)


def test_no_path_that_stalls_or_is_a_backup_is_preferred_for_its_latency() -> None:
    for unusable in ("stalled", "backup"):
        paths = paths_of(0.1, 0.01)
        if unusable == "stalled":
            paths.open[1].stalled_at = 0.0
        else:
            paths.set_backup(1, True)
        assert paths.preferred_path() == 0
        paths.check_for_faster(0.0)
        paths.follow_peer(1, 0.0)
        assert paths.preferred_path() == 0


def test_of_several_faster_paths_the_fastest_is_preferred() -> None:
    paths = paths_of(0.1, 0.2, 0.2, 0.2)
    assert paths.preferred_path() == 0
    paths.open[1].base, paths.open[2].base, paths.open[3].base = 0.03, 0.02, 0.025
    paths.check_for_faster(0.0)
    assert paths.preferred_path() == 2


def test_without_paths_none_is_preferred() -> None:
    paths = PathSet()
    paths.check_for_faster(0.0)
    assert paths.preferred_path() is None


def test_before_a_path_is_preferred_nothing_is_followed_or_compared() -> None:
    paths = paths_of(0.1, 0.2)
    paths.follow_peer(1, 0.0)
    paths.check_for_faster(0.0)
    assert paths.preferred_path() == 0


def test_a_path_is_alive_until_it_has_been_stalled_for_the_limit() -> None:
    paths = paths_of(0.1)
    assert paths.is_alive(0, 1e9)
    assert not paths.is_alive(1, 0.0)
    paths.open[0].stalled_at = 5.0
    assert paths.is_alive(0, 4.9 + STALLED_LIMIT)
    assert not paths.is_alive(0, 5.0 + STALLED_LIMIT)


def test_silence_ends_a_session_only_when_all_its_paths_have_stalled() -> None:
    assert PathSet().silence_deadline() == NEVER
    paths = paths_of(0.1, 0.1)
    paths.open[0].stalled_at = 1.0
    assert paths.silence_deadline() == NEVER
    paths.open[1].stalled_at = 3.0
    assert paths.silence_deadline() == 3.0 + SILENCE_LIMIT
