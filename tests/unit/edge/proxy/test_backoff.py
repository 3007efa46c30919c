"""While the origin fails, background revalidations wait longer and longer."""

from edge.proxy import backoff
from edge.proxy.backoff import RevalidationBackoff


def test_the_delay_doubles_up_to_its_limit_and_a_success_ends_it() -> None:
    made = RevalidationBackoff()
    now, delays = 1000.0, []
    for _ in range(8):
        made.record("a", True, now)
        delay = 0.0
        while not made.may_retry("a", now + delay):
            delay += 0.5
        delays.append(delay)
        now += delay
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]
    assert made.may_retry("b", now)
    made.record("a", True, now)
    made.record("a", False, now)
    assert made.may_retry("a", now)


def test_what_is_remembered_is_bounded() -> None:
    made = RevalidationBackoff()
    for number in range(backoff.KEYS_LIMIT + 10):
        made.record(str(number), True, 1.0)
    assert len(made._failing) == backoff.KEYS_LIMIT
