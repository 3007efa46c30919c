"""Invalidation by unsafe methods (RFC 9111 section 4.4), and stale responses (RFC 5861)."""

from cache_cases.case import Case, Level, Outcome, Reply, Step, Value, asks, reply

F, R, V = Outcome.FORWARDED, Outcome.REUSED, Outcome.VALIDATED
S, B, OWN = Outcome.STALE, Outcome.REFRESHED, Outcome.REFUSED
MUST, SHOULD, FREE = Level.MUST, Level.SHOULD, Level.FREE
HOUR = "max-age=3600"


def _after(text: str, level: Level, outcome: Outcome, method: str, said: Reply, *, path: str = "") -> Case:
    """What is stored at `path`, after an unsafe request for the case's own URL."""
    return Case(
        "9111 4.4",
        level,
        text,
        (
            Step(F, reply(HOUR), path=path),
            Step(F, said, method=method),
            Step(outcome, reply(HOUR), path=path),
        ),
    )


INVALIDATION = [
    *(
        _after(f"{method} with {status} invalidates", MUST, F, method, reply(status=status))
        for method in ("POST", "PUT", "DELETE", "PATCH", "MKCOL")
        for status in (200, 204)
    ),
    *(
        _after(f"POST with {status} invalidates", MUST, F, "POST", reply(status=status, location="/x"))
        for status in (201, 301, 302, 303, 307)
    ),
    *(
        _after(f"{method} with {status} does not", SHOULD, R, method, reply(status=status))
        for method in ("POST", "PUT", "DELETE")
        for status in (400, 404, 500, 503)
    ),
    *(
        _after(f"{method} is safe and does not", SHOULD, R, method, reply())
        for method in ("OPTIONS", "QUERY", "REPORT")
    ),
    *(
        _after(f"{field} of {text} is invalidated", SHOULD, F, "POST", Reply(((field, value),)), path="/b")
        for field in ("location", "content-location")
        for text, value in (("a path", "{path}/b"), ("a URL of this host", "https://cdn.example{path}/b"))
    ),
    *(
        _after(
            f"{field} of another host is not",
            MUST,
            R,
            "POST",
            Reply(((field, "https://other.example{path}/b"),)),
            path="/b",
        )
        for field in ("location", "content-location")
    ),
    _after(
        "Location of a failure is not", SHOULD, R, "POST", reply(status=500, location="{path}/b"), path="/b"
    ),
    _after("another query is not", SHOULD, R, "POST", reply(), path="?b"),
    Case(
        "9111 4.4",
        MUST,
        "all variants are invalidated",
        (
            Step(F, reply(HOUR, vary="Foo"), asks(foo="1")),
            Step(F, asks=asks(foo="2")),
            Step(F, reply(), method="POST"),
            Step(F, reply(HOUR, vary="Foo"), asks(foo="1")),
            Step(F, asks=asks(foo="2")),
        ),
    ),
]


def _stale(control: str, age: int, **more: Value) -> Reply:
    return reply(f"max-age=1000, {control}" if control else "max-age=1000", age=str(1000 + age), **more)


BROKEN = Reply(closes=True)


def _failing(
    text: str,
    level: Level,
    outcome: Outcome,
    control: str,
    age: int,
    error: Reply,
    status: int,
    **lines: Value,
) -> Case:
    return Case(
        "5861 4",
        level,
        text,
        (Step(F, _stale(control, age)), Step(outcome, error, asks(**lines), status=status)),
    )


STALE = [
    Case(
        "5861 3",
        SHOULD,
        "stale-while-revalidate is given at once",
        (Step(F, _stale("stale-while-revalidate=100", 50)), Step(B)),
    ),
    Case(
        "5861 3",
        SHOULD,
        "and the answer behind it is stored",
        (
            Step(F, _stale("stale-while-revalidate=100", 50), body="answer 0"),
            Step(B, reply(HOUR), body="answer 0"),
            Step(R, body="answer 1"),
        ),
    ),
    Case(
        "5861 3", MUST, "not past its window", (Step(F, _stale("stale-while-revalidate=100", 150)), Step(F))
    ),
    Case(
        "9111 5.2.2.2",
        MUST,
        "not against must-revalidate",
        (Step(F, _stale("stale-while-revalidate=100, must-revalidate", 50)), Step(F)),
    ),
    Case(
        "9111 5.2.2.8",
        MUST,
        "not against proxy-revalidate",
        (Step(F, _stale("stale-while-revalidate=100, proxy-revalidate", 50)), Step(F)),
    ),
    Case(
        "9111 5.2.2.4",
        MUST,
        "not against no-cache",
        (Step(F, _stale("stale-while-revalidate=100, no-cache", 50, etag='"1"')), Step(V)),
    ),
    Case(
        "9111 5.2.1.4",
        MUST,
        "not for a client that says no-cache",
        (Step(F, _stale("stale-while-revalidate=100", 50)), Step(F, asks=asks(cache_control="no-cache"))),
    ),
    Case(
        "5861 3",
        SHOULD,
        "one that is no number does not count",
        (Step(F, _stale("stale-while-revalidate=x", 50)), Step(F)),
    ),
    *(
        _failing(
            f"stale-if-error stands in for a {status}",
            SHOULD,
            S,
            "stale-if-error=100",
            50,
            reply(status=status),
            200,
        )
        for status in (500, 502, 503, 504)
    ),
    _failing(
        "stale-if-error stands in for a connection that breaks",
        SHOULD,
        S,
        "stale-if-error=100",
        50,
        BROKEN,
        200,
    ),
    _failing("not for a 404", MUST, F, "stale-if-error=100", 50, reply(status=404), 404),
    _failing("not for a 403", MUST, F, "stale-if-error=100", 50, reply(status=403), 403),
    _failing("not past its window", MUST, F, "stale-if-error=100", 150, reply(status=503), 503),
    _failing(
        "not against must-revalidate",
        MUST,
        F,
        "stale-if-error=100, must-revalidate",
        50,
        reply(status=503),
        503,
    ),
    _failing(
        "not against proxy-revalidate",
        MUST,
        F,
        "stale-if-error=100, proxy-revalidate",
        50,
        reply(status=503),
        503,
    ),
    _failing("not against no-cache", MUST, F, "stale-if-error=100, no-cache", 50, reply(status=503), 503),
    _failing(
        "a request's stale-if-error counts too",
        SHOULD,
        S,
        "",
        50,
        reply(status=503),
        200,
        cache_control="stale-if-error=100",
    ),
    _failing(
        "a request's that is too short does not",
        MUST,
        F,
        "",
        50,
        reply(status=503),
        503,
        cache_control="stale-if-error=10",
    ),
    _failing("without leave an error is passed on", FREE, F, "", 50, reply(status=503), 503),
    _failing("without leave a connection that breaks is a 502", FREE, OWN, "", 50, BROKEN, 502),
    Case(
        "9111 5.2.2.2",
        MUST,
        "must-revalidate of a broken connection is an error",
        (Step(F, _stale("must-revalidate", 50)), Step(OWN, BROKEN, status=502)),
    ),
    Case(
        "9111 5.2.2.10",
        MUST,
        "s-maxage of a broken connection is an error",
        (Step(F, reply("s-maxage=10", age="20")), Step(OWN, BROKEN, status=502)),
    ),
    *(
        Case(
            "9111 4.2.4",
            MUST,
            f"max-stale does not count against {control}",
            (Step(F, _stale(control, 50)), Step(F, asks=asks(cache_control="max-stale=1000"))),
        )
        for control in ("must-revalidate", "proxy-revalidate", "s-maxage=1000")
    ),
]
CASES = [*INVALIDATION, *STALE]
