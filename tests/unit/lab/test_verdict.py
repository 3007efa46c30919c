"""A verdict judges every finding, and nothing at all is no success."""

from lab.scenarios.verdict import Verdict, format_summary


def test_all_as_wanted_is_passed() -> None:
    verdict = Verdict("s", "l")
    verdict.equal("owner", 1, 1)
    verdict.within("time", 4.999, 5, "s")
    verdict.note("rate", 12.5, "Mbit/s")
    assert verdict.ok
    assert verdict.text().splitlines()[-1] == "s (l): passed"
    assert "12.50 Mbit/s" in verdict.text()


def test_one_that_is_not_fails_the_whole_and_is_marked() -> None:
    verdict = Verdict("s", "l")
    verdict.equal("owner", 1, 2)
    verdict.within("time", 5.001, 5, "s")
    verdict.note("rate", 1)
    assert not verdict.ok
    assert [line.endswith("FAILED") for line in verdict.text().splitlines()[:3]] == [True, True, False]
    assert verdict.text().endswith("s (l): FAILED, 2 of 3")
    assert verdict.as_dict()["ok"] is False


def test_no_finding_is_no_success() -> None:
    assert not Verdict("s", "l").ok


def test_the_summary_has_a_line_for_each_scenario() -> None:
    good, bad = Verdict("good", "test"), Verdict("less-good", "test")
    good.equal("this", 1, 1)
    bad.at_least("that", 0.5, 1.0)
    assert format_summary([good, bad], [1.0, 12.34]).splitlines() == [
        "  good       passed    1 of 1      1.0 s",
        "  less-good  FAILED    0 of 1     12.3 s",
    ]
