"""Freshness: its sources, their order, Age and Date, dates, what counts without a lifetime (RFC 9111 section 4.2)."""

from cache_cases.case import At, Case, Level, Outcome, Reply, reply, twice

HOUR = "max-age=3600"
LARGE = ("2147483647", "2147483648", "2147483649", "99999999999")
# final statuses that a response with a lifetime may have
STATUSES = (
    *(200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 418, 451, 499),
    *(500, 501, 502, 503, 504, 599),
)
HEURISTIC = (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501)
NOT_HEURISTIC = (201, 202, 302, 303, 307, 400, 401, 403, 451, 500, 502, 503, 504, 599)


def _must(section: str, text: str, outcome: Outcome, first: Reply) -> Case:
    return Case(section, Level.MUST, text, twice(outcome, first))


def _should(section: str, text: str, outcome: Outcome, first: Reply) -> Case:
    return Case(section, Level.SHOULD, text, twice(outcome, first))


FRESH, STALE = Outcome.REUSED, Outcome.FORWARDED

SOURCES = [
    _should(
        "9111 4.2.1", "max-age counts beside an Expires that is no date", FRESH, reply(HOUR, expires="0")
    ),
    _must(
        "9111 4.2.1", "max-age=0 counts beside a future Expires", STALE, reply("max-age=0", expires=At(3600))
    ),
    _must("9111 4.2.1", "s-maxage=0 outweighs a long max-age", STALE, reply("s-maxage=0, max-age=3600")),
    _must("9111 4.2.1", "s-maxage=0 outweighs a max-age before it", STALE, reply("max-age=3600, s-maxage=0")),
    _must(
        "9111 4.2.1",
        "s-maxage on a second line outweighs max-age",
        STALE,
        reply("max-age=3600", "s-maxage=0"),
    ),
    _should(
        "9111 4.2.1",
        "s-maxage outweighs max-age=0 and a past Expires",
        FRESH,
        reply("s-maxage=3600, max-age=0", expires=At(-3600)),
    ),
    _should("9111 5.2", "names of directives have no case", FRESH, reply("MaX-aGe=3600")),
    _should("9111 5.2.3", "an unknown directive changes nothing", FRESH, reply("max-age=3600, x-y=z")),
    _must("9111 4.2.1", "a negative max-age is stale", STALE, reply("max-age=-3600")),
    _must("9111 4.2.1", "max-age without a value is stale", STALE, reply("max-age")),
    *(
        _should("9111 1.2.2", f"a lifetime of {number} seconds is long", FRESH, reply(f"max-age={number}"))
        for number in LARGE
    ),
    *(
        _should("9111 1.2.2", f"so is s-maxage={number}", FRESH, reply(f"s-maxage={number}"))
        for number in LARGE[1:]
    ),
]
AGES = [
    _must("9111 4.2.3", "an Age above max-age is stale", STALE, reply(HOUR, age="7200")),
    _should("9111 4.2.3", "an Age below max-age is fresh", FRESH, reply(HOUR, age="1800")),
    _must("9111 4.2.3", "an Age that equals max-age is stale", STALE, reply(HOUR, age="3600")),
    _must("9111 4.2.3", "Date counts as an age", STALE, reply(HOUR, date=At(-7200))),
    _should("9111 4.2.3", "Date counts as an age, and no more", FRESH, reply(HOUR, date=At(-1800))),
    _should("9111 4.2.3", "a Date to come makes no age", FRESH, reply(HOUR, date=At(1800))),
    _must("9111 4.2.3", "the larger of Age and Date counts", STALE, reply(HOUR, age="10", date=At(-7200))),
    *(
        _should("9111 5.1", f"an invalid Age is ignored: {value}", FRESH, reply(HOUR, age=value))
        for value in ("x", "-7200", "7200.0", "", "7200 0")
    ),
    *(_must("9111 5.1", f"an Age of {value} is stale", STALE, reply(HOUR, age=value)) for value in LARGE),
    _must(
        "9111 5.1",
        "of two lines of Age the first counts: 7200, 0",
        STALE,
        Reply((("cache-control", HOUR), ("age", "7200"), ("age", "0"))),
    ),
    _should(
        "9111 5.1",
        "of two lines of Age the first counts: 0, 7200",
        FRESH,
        Reply((("cache-control", HOUR), ("age", "0"), ("age", "7200"))),
    ),
    _should("9111 5.1", "of two members of Age the first counts: 0, 7200", FRESH, reply(HOUR, age="0, 7200")),
    _should(
        "9111 5.1",
        "two lines of Age: 0 are fresh",
        FRESH,
        Reply((("cache-control", HOUR), ("age", "0"), ("age", "0"))),
    ),
]
EXPIRES = [
    _should("9111 5.3", "a future Expires is fresh", FRESH, reply(expires=At(3600))),
    _must("9111 5.3", "a past Expires is stale", STALE, reply(expires=At(-3600))),
    _must("9111 5.3", "an Expires that equals Date is stale", STALE, reply(expires=At(), date=At())),
    _must(
        "9111 4.2.1",
        "an Expires before Date is stale, though both are to come",
        STALE,
        reply(expires=At(3600), date=At(7200)),
    ),
    _should(
        "9111 5.3", "Expires counts beside a Date that is no date", FRESH, reply(expires=At(3600), date="x")
    ),
    _must(
        "9111 4.2.3",
        "an Age above Expires minus Date is stale",
        STALE,
        reply(expires=At(3600), age="7200"),
    ),
    _must(
        "9111 4.2.3",
        "an Age above Expires minus a slow Date is stale",
        STALE,
        reply(expires=At(10), date=At(-10), age="25"),
    ),
    _must(
        "9111 4.2.3",
        "an Age above Expires minus a fast Date is stale",
        STALE,
        reply(expires=At(20), date=At(10), age="15"),
    ),
    _must(
        "9111 5.3",
        "two lines of Expires are no date",
        STALE,
        Reply((("expires", At(3600)), ("expires", At(3600)))),
    ),
    *(
        _should("9111 5.3", f"Expires may be far: {value}", FRESH, reply(expires=value))
        for value in (
            "Tue, 19 Jan 2038 14:14:08 GMT",
            "Thu, 18 Aug 2286 02:01:18 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        )
    ),
]
BY_STATUS = [
    *(
        _should(
            "9111 3",
            f"a {status} with a lifetime is reused",
            FRESH,
            reply(HOUR, status=status, location="/x" if 300 <= status < 400 else None),
        )
        for status in STATUSES
    ),
    *(
        _must("9111 4", f"a {status} past its lifetime is not", STALE, reply(HOUR, status=status, age="7200"))
        for status in STATUSES
    ),
]
HEURISTICS = [
    *(
        _should(
            "9110 15.1",
            f"a {status} needs no lifetime, where Last-Modified is old",
            FRESH,
            reply(status=status, last_modified=At(-864_000)),
        )
        for status in HEURISTIC
    ),
    *(
        _must(
            "9110 15.1",
            f"a {status} needs a lifetime",
            STALE,
            reply(status=status, last_modified=At(-864_000)),
        )
        for status in NOT_HEURISTIC
    ),
    *(
        _should(
            "9111 5.2.2.9",
            f"public makes a {status} without a lifetime storable",
            FRESH,
            reply("public", status=status, last_modified=At(-864_000)),
        )
        for status in (201, 302, 599)
    ),
    Case(
        "9111 4.2.2",
        Level.FREE,
        "a Last-Modified that equals Date gives no lifetime",
        twice(Outcome.VALIDATED, reply(last_modified=At(), date=At())),
    ),
    Case(
        "9111 4.2.2",
        Level.FREE,
        "a Last-Modified to come gives no lifetime",
        twice(Outcome.VALIDATED, reply(last_modified=At(3600))),
    ),
    _should(
        "9111 4.2.2",
        "Content-Disposition does not hinder it",
        FRESH,
        reply(last_modified=At(-864_000), content_disposition="attachment"),
    ),
]
CASES = [*SOURCES, *AGES, *EXPIRES, *BY_STATUS, *HEURISTICS]
