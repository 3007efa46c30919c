"""Which stored response a request selects: keys and Vary (RFC 9111 sections 2 and 4.1)."""

from cache_cases.case import Case, Level, Outcome, Reply, Step, asks, reply

F, R, V = Outcome.FORWARDED, Outcome.REUSED, Outcome.VALIDATED
MUST, SHOULD, FREE = Level.MUST, Level.SHOULD, Level.FREE
HOUR = "max-age=3600"


def _varying(
    vary: str | tuple[str, ...], first: dict[str, str], *then: tuple[Outcome, dict[str, str]]
) -> tuple[Step, ...]:
    """A request with the fields `first`, then others."""
    lines = (vary,) if isinstance(vary, str) else vary
    stored = Reply((("cache-control", HOUR), *(("vary", line) for line in lines)))
    return (
        Step(F, stored, asks(**first)),
        *(Step(outcome, None, asks(**fields)) for outcome, fields in then),
    )


THREE = {"foo": "1", "bar": "abc", "baz": "789"}
VARY = [
    Case(
        "9111 4.1", SHOULD, "a request that matches reuses", _varying("Foo", {"foo": "1"}, (R, {"foo": "1"}))
    ),
    Case("9111 4.1", MUST, "one that does not asks", _varying("Foo", {"foo": "1"}, (F, {"foo": "2"}))),
    Case(
        "9111 4.1", MUST, "absence when stored matches absence alone", _varying("Foo", {}, (F, {"foo": "1"}))
    ),
    Case(
        "9111 4.1", MUST, "a value when stored does not match absence", _varying("Foo", {"foo": "1"}, (F, {}))
    ),
    Case("9111 4.1", SHOULD, "absence matches absence", _varying("Foo", {}, (R, {}))),
    Case(
        "9111 4.1",
        SHOULD,
        "names in Vary have no case",
        _varying("fOO", {"foo": "1"}, (R, {"foo": "1"}), (F, {"foo": "2"})),
    ),
    Case(
        "9111 4.1",
        SHOULD,
        "variants are stored side by side",
        _varying("Foo", {"foo": "1"}, (F, {"foo": "2"}), (R, {"foo": "1"}), (R, {"foo": "2"})),
    ),
    Case(
        "9111 4.1",
        SHOULD,
        "a field that Vary does not name does not count",
        _varying("Foo", {"foo": "1", "other": "2"}, (R, {"foo": "1", "other": "3"})),
    ),
    Case(
        "9111 4.1",
        SHOULD,
        "two fields that match",
        _varying("Foo, Bar", {"foo": "1", "bar": "2"}, (R, {"foo": "1", "bar": "2"})),
    ),
    Case(
        "9111 4.1",
        MUST,
        "two fields of which one does not",
        _varying("Foo, Bar", {"foo": "1", "bar": "2"}, (F, {"foo": "1", "bar": "3"})),
    ),
    Case(
        "9111 4.1",
        MUST,
        "two fields of which one is absent",
        _varying("Foo, Bar", {"foo": "1", "bar": "2"}, (F, {"foo": "1"})),
    ),
    Case(
        "9111 4.1",
        SHOULD,
        "three fields in another order",
        _varying("Foo, Bar, Baz", THREE, (R, {"baz": "789", "foo": "1", "bar": "abc"})),
    ),
    Case(
        "9111 4.1",
        MUST,
        "three fields of which the last differs",
        _varying("Foo, Bar, Baz", THREE, (F, {**THREE, "baz": "0"})),
    ),
    Case(
        "9111 4.1",
        SHOULD,
        "three fields of which one is absent both times",
        _varying("Foo, Bar, Baz", {"foo": "1", "baz": "2"}, (R, {"foo": "1", "baz": "2"})),
    ),
    Case(
        "9110 5.3",
        MUST,
        "Vary on two lines: the first counts",
        _varying(("Foo", "Bar"), {"foo": "1", "bar": "2"}, (F, {"foo": "9", "bar": "2"})),
    ),
    Case(
        "9110 5.3",
        MUST,
        "Vary on two lines: the second counts",
        _varying(("Foo", "Bar"), {"foo": "1", "bar": "2"}, (F, {"foo": "1", "bar": "9"})),
    ),
    *(
        Case(
            "9111 4.1",
            MUST,
            f"Vary: {' and '.join(lines)} matches nothing",
            _varying(lines, {"foo": "1"}, (F, {"foo": "1"})),
        )
        for lines in (("*, *",), ("*", "*"), (", *",), ("", "*"), ("*, Foo",), ("Foo, *",))
    ),
    Case(
        "9110 5.3",
        SHOULD,
        "lines of a request's field are the same as one list",
        (Step(F, reply(HOUR, vary="Foo"), asks(foo="1, 2")), Step(R, asks=(("foo", "1"), ("foo", "2")))),
    ),
    Case(
        "9111 4.1",
        SHOULD,
        "white space around a value does not count",
        _varying("Foo", {"foo": "1"}, (R, {"foo": " 1\t"})),
    ),
    Case(
        "9111 4.1",
        MUST,
        "a value's case counts in a field that is not known",
        _varying("Foo", {"foo": "a"}, (F, {"foo": "A"})),
    ),
    Case(
        "9111 4.1",
        FREE,
        "the order of languages counts",
        _varying("Accept-Language", {"accept_language": "en, de"}, (F, {"accept_language": "de, en"})),
    ),
    Case(
        "9111 4.1",
        FREE,
        "the case of languages counts",
        _varying("Accept-Language", {"accept_language": "en"}, (F, {"accept_language": "EN"})),
    ),
    Case(
        "9110 12.5.3",
        SHOULD,
        "codings of another weight are the same",
        _varying("Accept-Encoding", {"accept_encoding": "gzip;q=0.5"}, (R, {"accept_encoding": "gzip"})),
    ),
    Case(
        "9110 12.5.3",
        MUST,
        "a coding that is refused makes a difference",
        _varying("Accept-Encoding", {"accept_encoding": "gzip"}, (F, {"accept_encoding": "gzip;q=0"})),
    ),
    Case(
        "9111 4.1",
        MUST,
        "cookies make variants where Vary names them",
        _varying("Cookie", {"cookie": "a=1"}, (F, {"cookie": "a=2"}), (R, {"cookie": "a=1"})),
    ),
    Case(
        "9111 4.1",
        MUST,
        "a validation repeats the fields that Vary names",
        (
            Step(F, reply(HOUR, vary="Foo", age="7200", etag='"1"'), asks(foo="1")),
            Step(V, asks=asks(foo="1"), sends={"foo": "1", "if-none-match": '"1"'}),
        ),
    ),
    Case(
        "9111 4.1",
        MUST,
        "a newer answer without Vary is for all",
        (
            Step(F, reply(HOUR, vary="Foo", age="7200"), asks(foo="1")),
            Step(F, reply(HOUR), asks(foo="2")),
            Step(R, asks=asks(foo="2")),
        ),
    ),
]
KEYS = [
    Case(
        "9111 2",
        MUST,
        "another query is another response",
        (Step(F, reply(HOUR), path="?a=1"), Step(F, path="?a=2"), Step(R, path="?a=1")),
    ),
    Case(
        "9111 2",
        MUST,
        "the order of a query counts",
        (Step(F, reply(HOUR), path="?a=1&b=2"), Step(F, path="?b=2&a=1")),
    ),
    Case("9111 2", MUST, "an empty query is not none", (Step(F, reply(HOUR)), Step(F, path="?"))),
    Case("9111 2", MUST, "a path's case counts", (Step(F, reply(HOUR), path="/a"), Step(F, path="/A"))),
    Case(
        "9110 4.2.3",
        SHOULD,
        "escapes of what needs none are the same",
        (Step(F, reply(HOUR), path="/a~b"), Step(R, path="/%61%7Eb")),
    ),
    Case(
        "9110 4.2.3",
        SHOULD,
        "escapes have no case",
        (Step(F, reply(HOUR), path="/%c3%a4"), Step(R, path="/%C3%A4")),
    ),
    Case(
        "9110 4.2.3",
        MUST,
        "an escape of a delimiter is another",
        (Step(F, reply(HOUR), path="/a/b"), Step(F, path="/a%2Fb")),
    ),
    Case(
        "3986 6.2.2",
        SHOULD,
        "dot segments are resolved",
        (Step(F, reply(HOUR), path="/b"), Step(R, path="/a/../b")),
    ),
]
CASES = [*VARY, *KEYS]
