"""Passive ejection: enough failures in a row, a while without requests, then one that tries."""

from edge.origins.origin_state import OriginHealth, OriginState
from services.origins import Ejection

NOW = 100.0


def ejected() -> OriginState:
    state = OriginState(Ejection(failures=3, seconds=10))
    for _ in range(3):
        assert state.may_ask(NOW, repeatable=False)
        state.record_failure("status 503", NOW)
    return state


def test_failures_in_a_row_eject_and_a_success_between_them_does_not() -> None:
    state = OriginState(Ejection(failures=2, seconds=10))
    for _ in range(5):
        state.record_failure("reset", NOW)
        state.record_success()
    assert state.health is OriginHealth.HEALTHY
    assert ejected().health is OriginHealth.EJECTED
    assert not ejected().may_ask(NOW + 9.9, repeatable=True)


def test_one_request_tries_and_the_others_wait_for_its_result() -> None:
    state = ejected()
    assert state.may_ask(NOW + 10, repeatable=True)
    tries = state.begin_request()
    assert tries
    assert not state.may_ask(NOW + 10, repeatable=True)
    state.record_failure("status 503", NOW + 11)
    state.end_request(tries)
    assert not state.may_ask(NOW + 20, repeatable=True)
    assert state.may_ask(NOW + 21, repeatable=True)
    tries = state.begin_request()
    state.record_success()
    state.end_request(tries)
    assert state.health is OriginHealth.HEALTHY


def test_a_request_that_ends_without_a_result_lets_another_try() -> None:
    state = ejected()
    state.end_request(state.begin_request())  # its client left
    assert state.may_ask(NOW + 10, repeatable=True)


def test_a_request_that_cannot_be_repeated_tries_only_after_twice_the_time() -> None:
    state = ejected()
    assert not state.may_ask(NOW + 19, repeatable=False)
    assert state.may_ask(NOW + 20, repeatable=False)
