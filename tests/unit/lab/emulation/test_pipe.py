"""One direction of an emulated link, with a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.emulation.impairment import Impairment
from lab.emulation.pipe import Pipe


def drain(pipe: Pipe) -> list[tuple[float, bytes]]:
    out = []
    while (at := pipe.due_at()) is not None:
        assert pipe.pop(at - 1e-9) is None
        frame = pipe.pop(at)
        assert frame is not None
        out.append((at, frame))
    return out


def test_a_frame_comes_out_after_the_delay() -> None:
    pipe = Pipe(Impairment(delay=0.005))
    assert pipe.push(1.0, b"frame")
    assert pipe.pop(1.004) is None
    assert pipe.pop(1.005) == b"frame"
    assert pipe.due_at() is None


def test_frames_leave_at_the_rate_and_then_take_the_delay() -> None:
    pipe = Pipe(Impairment(delay=0.1, rate=8_000_000))  # a byte takes a microsecond
    for _ in range(3):
        pipe.push(0.0, bytes(1000))
    assert [at for at, _ in drain(pipe)] == pytest.approx([0.101, 0.102, 0.103])


def test_a_link_that_was_idle_owes_nothing() -> None:
    pipe = Pipe(Impairment(rate=8_000_000))
    pipe.push(0.0, bytes(1000))
    pipe.push(5.0, bytes(1000))
    assert [at for at, _ in drain(pipe)] == pytest.approx([0.001, 5.001])


def test_what_the_queue_does_not_hold_is_lost() -> None:
    pipe = Pipe(Impairment(rate=8_000_000, queue=10_000))
    taken = sum(pipe.push(0.0, bytes(1000)) for _ in range(100))
    assert 10 <= taken <= 12  # ten wait, one is on its way
    assert pipe.dropped == 100 - taken
    assert pipe.push(0.005, bytes(1000))  # five have left since


def test_without_a_rate_nothing_is_lost() -> None:
    pipe = Pipe(Impairment(delay=0.01))
    assert all(pipe.push(0.0, bytes(60_000)) for _ in range(1000))


def test_the_size_on_the_wire_counts_not_that_of_the_frame() -> None:
    pipe = Pipe(Impairment(rate=8_000_000))
    pipe.push(0.0, bytes(1010), 1000)
    assert pipe.due_at() == pytest.approx(0.001)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.floats(0, 0.01), st.integers(1, 1500)),
            st.builds(Impairment, st.floats(0, 1), st.one_of(st.none(), st.floats(1e5, 1e9))),
        ),
        max_size=60,
    )
)
def test_order_holds_whatever_becomes_of_delay_and_rate(steps: list[tuple[float, int] | Impairment]) -> None:
    pipe, now, taken = Pipe(Impairment()), 0.0, []
    for number, step in enumerate(steps):
        if isinstance(step, Impairment):
            pipe.change(step)
            continue
        now += step[0]
        if pipe.push(now, number.to_bytes(2, "big"), step[1]):
            taken.append(number)
    out = drain(pipe)
    assert [int.from_bytes(frame, "big") for _, frame in out] == taken
    assert [at for at, _ in out] == sorted(at for at, _ in out)
