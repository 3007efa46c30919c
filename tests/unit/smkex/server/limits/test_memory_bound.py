"""The bound of a process's memory: where it comes from, and that it is noticed."""

import gc
import os
import weakref
from pathlib import Path

import pytest

from smkex.server.limits import memory_bound
from smkex.server.limits.memory_bound import MemoryBound, default_limit
from smkex.server.limits.resident_memory import release_unused, resident_bytes


def test_the_default_is_a_share_of_the_smaller_of_machine_and_control_group(tmp_path: Path) -> None:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = tmp_path / "memory.max"
    assert default_limit(0, limit) == int(machine * 0.75)
    limit.write_text("max\n")
    assert default_limit(1, limit) == int(machine * 0.75)
    limit.write_text("1000000\n")
    assert default_limit(3, limit) == 250_000


def test_what_grows_beyond_it_is_noticed_and_what_shrinks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resident_bytes() > 1 << 20
    held, now = 10, 0.0
    monkeypatch.setattr(memory_bound, "resident_bytes", lambda: held)
    monkeypatch.setattr(memory_bound, "release_unused", lambda: None)
    monkeypatch.setattr(memory_bound.time, "monotonic", lambda: now)
    bound = MemoryBound(10)
    assert not bound.is_full
    held = 11
    assert not bound.is_full  # it does not look at each client
    now = 1.0
    assert bound.is_full
    held, now = 9, 2.0
    assert not bound.is_full


def test_unused_memory_is_given_back_before_a_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    held, unused, now, released = 70, 5, 0.0, 0

    def release() -> None:
        nonlocal held, unused, now, released
        held, unused, released = held - unused, 0, released + 1
        now += 0.5

    monkeypatch.setattr(memory_bound, "resident_bytes", lambda: held)
    monkeypatch.setattr(memory_bound, "release_unused", release)
    monkeypatch.setattr(memory_bound.time, "monotonic", lambda: now)
    bound = MemoryBound(100)
    assert not bound.is_full
    assert not released
    now, held, unused = 1.0, 110, 30
    assert not bound.is_full
    assert (held, released) == (80, 1)
    now, held, unused = 10.0, 110, 30
    assert bound.is_full  # it took half a second, so not again within ten
    now = 11.5
    assert not bound.is_full
    assert released == 2


def test_what_is_given_back_is_garbage_of_every_generation() -> None:
    class Node:
        other: "Node | None" = None

    first, second = Node(), Node()
    first.other, second.other = second, first
    for generation in range(3):
        gc.collect(generation)
    found = weakref.ref(first)
    gc.disable()
    try:
        del first, second
        assert found() is not None
        release_unused()
        assert found() is None
    finally:
        gc.enable()
