"""A soak's judgement bites: what grows, is lost or is wrong fails it."""

from lab.scenarios.verdict import Verdict
from lab.soak.growth import ENOUGH, SETTLED, Series
from lab.soak.run import _check_growth, _check_requests

MIB = 1 << 20


def series(step: int, descriptor_step: float = 0.0) -> Series:
    return Series(
        "sennit edge",
        [100 * MIB + step * n for n in range(SETTLED)],
        [20 + int(descriptor_step * n) for n in range(SETTLED)],
    )


def judged(one: Series) -> Verdict:
    verdict = Verdict("soak", "here")
    _check_growth(verdict, [one])
    return verdict


def test_a_process_that_stays_as_it_is_passes() -> None:
    assert judged(series(0)).ok


def test_a_leak_of_memory_fails() -> None:
    assert not judged(series(MIB)).ok


def test_a_leak_of_descriptors_fails() -> None:
    assert not judged(series(0, descriptor_step=0.5)).ok


def test_growth_at_the_start_alone_is_no_leak() -> None:
    one = Series("sennit edge", [MIB * min(n, SETTLED // 4) for n in range(SETTLED)], [5] * SETTLED)
    assert one.memory_growth() == 0
    assert judged(one).ok


def test_a_process_seen_too_briefly_is_not_judged() -> None:
    short = Series("sennit edge", [MIB * n for n in range(ENOUGH)], list(range(0, 10 * ENOUGH, 10)))
    assert short.memory_growth() is None
    assert [finding.what for finding in judged(short).findings if not finding.ok] == [
        "sennit edge: descriptors grew by"
    ]
    assert Series("sennit edge", [MIB] * (ENOUGH - 1), [5] * (ENOUGH - 1)).descriptor_growth() is None


def test_a_lost_request_and_a_wrong_byte_fail() -> None:
    good = {"kind": "small", "ok": True, "seconds": 0.1, "errors": []}
    for bad in (
        {"kind": "small", "ok": False, "seconds": 45.0, "errors": ["OSError: no"]},
        {"kind": "small", "ok": False, "seconds": 0.1, "errors": ["WRONG BYTES"]},
    ):
        verdict = Verdict("soak", "here")
        _check_requests(verdict, [good, bad])
        assert not verdict.ok
