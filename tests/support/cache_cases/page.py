"""The page that lists the cases of the conformance suite and what the cache does."""

from collections import Counter

from cache_cases.case import Case, Level, Outcome, Step
from cache_cases.suite import SUBJECTS, SUITE

HEAD = """# Cache conformance

What RFC 9111 (caching), 9110 (semantics), 5861 (stale responses), 8246 (immutable), 9211 (Cache-Status) and 9213
(targeted directives) ask of a shared cache, and what the edge does. Each row is a test:
`tests/conformance/test_cache.py` asks a running `sennit edge` over HTTPS, before an origin that does what the row
wants, and judges by what the origin was asked, and by which of its answers came out. The subjects are those of the
public suite of cache tests (http-tests/cache-tests), of which nothing is copied.
`tests/unit/edge/cache/test_rfc9111.py` has the rules that need time to pass.

{counts}. *Must* and *should*: the RFC says so, or a cache that does otherwise is of no
use; *free*: the RFC leaves it to the cache, and the row says what this one does. `python tests/conformance` writes this
page; `make check` fails where it or the edge says something else.
"""
_FOLLOWS = {
    Outcome.FORWARDED: "asks the origin",
    Outcome.REUSED: "is answered from the store",
    Outcome.VALIDATED: "is answered from the store once the origin has confirmed it",
    Outcome.REFRESHED: "is answered from the store, which is renewed behind the answer",
    Outcome.STALE: "is answered from the store, since the origin failed",
    Outcome.REFUSED: "is answered by the edge itself",
}


def render_page() -> str:
    """Return the text of `docs/conformance.md`."""
    by_level = Counter(case.level for case in SUITE)
    counts = f"{len(SUITE)} cases: " + ", ".join(f"{by_level[level]} {level}" for level in Level)
    return HEAD.format(counts=counts) + "".join(
        _render_subject(name, cases) for name, cases in SUBJECTS.items()
    )


def _render_subject(name: str, cases: list[Case]) -> str:
    rows = "".join(
        f"| {case.section} | {case.level} | {_escape(case.text)} | {_done(case)} |\n" for case in cases
    )
    return f"\n## {name}\n\n| RFC | | the case | the last request |\n|---|---|---|---|\n{rows}"


def _done(case: Case) -> str:
    """What the case's last request led to, with its status where it has one of its own."""
    last = case.steps[-1]
    status = _status(case, last)
    return _FOLLOWS[last.outcome] + (f": {status}" if status != 200 else "")


def _status(case: Case, last: Step) -> int:
    replies = [step.reply.status for step in case.steps if step.reply is not None]
    return replies[-1] if last.status is None else last.status


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")
