"""Validators and conditions, and what a 304 renews (RFC 9111 section 4.3, RFC 9110 section 13)."""

from cache_cases.case import At, Case, Level, Outcome, Reply, Step, Value, asks, reply

F, R, V, OWN = Outcome.FORWARDED, Outcome.REUSED, Outcome.VALIDATED, Outcome.REFUSED
MUST, SHOULD, FREE = Level.MUST, Level.SHOULD, Level.FREE
HOUR = "max-age=3600"


def _stale(**more: Value) -> Reply:
    return reply(HOUR, age="7200", **more)


def _matches(text: str, level: Level, stored: Reply, status: int, **condition: Value) -> Case:
    """A condition of a client about what is fresh."""
    return Case("9110 13.1", level, text, (Step(F, stored), Step(R, asks=asks(**condition), status=status)))


SENT = [
    Case(
        "9111 4.3.1",
        SHOULD,
        "a strong ETag is validated by",
        (Step(F, _stale(etag='"abc"')), Step(V, sends={"if-none-match": '"abc"'})),
    ),
    Case(
        "9111 4.3.1",
        SHOULD,
        "a weak ETag is validated by",
        (Step(F, _stale(etag='W/"abc"')), Step(V, sends={"if-none-match": 'W/"abc"'})),
    ),
    Case(
        "9111 4.3.1",
        SHOULD,
        "Last-Modified is validated by",
        (
            Step(F, _stale(last_modified=At(-9000))),
            Step(V, sends={"if-modified-since": At(-9000), "if-none-match": None}),
        ),
    ),
    Case(
        "9111 4.3.1",
        SHOULD,
        "ETag and Last-Modified are both sent",
        (
            Step(F, _stale(etag='"abc"', last_modified=At(-9000))),
            Step(V, sends={"if-none-match": '"abc"', "if-modified-since": At(-9000)}),
        ),
    ),
    Case(
        "9111 4.3.1",
        MUST,
        "without a validator no condition is sent",
        (Step(F, _stale()), Step(F, sends={"if-none-match": None, "if-modified-since": None})),
    ),
    Case(
        "9111 4.3.1",
        SHOULD,
        "a Last-Modified that is no date is no validator",
        (Step(F, _stale(last_modified="yesterday")), Step(F, sends={"if-modified-since": None})),
    ),
    Case(
        "9111 4.3.1",
        MUST,
        "the store's ETag is sent, not the client's",
        (
            Step(F, _stale(etag='"abc"')),
            Step(V, asks=asks(if_none_match='"other"'), status=200, sends={"if-none-match": '"abc"'}),
        ),
    ),
    Case(
        "9111 4.3.2",
        SHOULD,
        "a client that has what was validated gets a 304",
        (Step(F, _stale(etag='"abc"')), Step(V, asks=asks(if_none_match='"abc"'), status=304)),
    ),
    Case(
        "9111 4.3.2",
        SHOULD,
        "by Last-Modified too",
        (
            Step(F, _stale(last_modified=At(-9000))),
            Step(V, asks=asks(if_modified_since=At(-9000)), status=304),
        ),
    ),
    Case(
        "9111 4.3.3",
        MUST,
        "another ETag replaces what was stored",
        (
            Step(F, _stale(etag='"1"'), body="answer 0"),
            Step(F, reply(HOUR, etag='"2"'), body="answer 1"),
            Step(R, has={"etag": '"2"'}, body="answer 1"),
        ),
    ),
    Case(
        "9111 4.3.3",
        MUST,
        "an error in answer to a validation is passed on",
        (Step(F, _stale(etag='"1"')), Step(F, Reply(status=503, validates=False))),
    ),
    Case(
        "9111 4.3.3",
        MUST,
        "a 404 in answer to a validation takes its place",
        (Step(F, _stale(etag='"1"')), Step(F, reply(HOUR, status=404)), Step(R, status=404)),
    ),
    Case(
        "9110 13.2.1",
        MUST,
        "If-Unmodified-Since goes to the origin",
        (
            Step(F, reply(HOUR, last_modified=At(-9000))),
            Step(F, asks=asks(if_unmodified_since=At(-9000)), sends={"if-unmodified-since": At(-9000)}),
        ),
    ),
    Case(
        "9110 13.1.2",
        MUST,
        "a condition about an unsafe method goes to the origin",
        (
            Step(F, reply(HOUR, etag='"1"')),
            Step(F, method="PUT", asks=asks(if_none_match="*"), sends={"if-none-match": "*"}),
        ),
    ),
    Case(
        "9110 13.1.2",
        FREE,
        "a condition about what is not stored is not sent on",
        (Step(F, reply(HOUR, etag='"1"'), asks(if_none_match='"0"'), sends={"if-none-match": None}),),
    ),
]
TAG = reply(HOUR, etag='"abc"')
WEAK = reply(HOUR, etag='W/"abc"')
CLIENT = [
    _matches("a strong ETag that matches is a 304", SHOULD, TAG, 304, if_none_match='"abc"'),
    _matches("a strong ETag that does not is a 200", MUST, TAG, 200, if_none_match='"ab"'),
    _matches("an ETag's case counts", MUST, TAG, 200, if_none_match='"ABC"'),
    _matches("If-None-Match compares weakly: strong by weak", SHOULD, TAG, 304, if_none_match='W/"abc"'),
    _matches("If-None-Match compares weakly: weak by strong", SHOULD, WEAK, 304, if_none_match='"abc"'),
    _matches("If-None-Match compares weakly: weak by weak", SHOULD, WEAK, 304, if_none_match='W/"abc"'),
    *(
        _matches(f"one of several that matches is a 304: {value}", SHOULD, TAG, 304, if_none_match=value)
        for value in (
            '"abc", "x", "y"',
            '"x", "abc", "y"',
            '"x", W/"y", "abc"',
            '"x","abc"',
            ', "x", , "abc",',
        )
    ),
    _matches("none of several that matches is a 200", MUST, TAG, 200, if_none_match='"x", "y"'),
    _matches("a star matches all that is stored", SHOULD, TAG, 304, if_none_match="*"),
    _matches("a tag may have a comma", SHOULD, reply(HOUR, etag='"a,b"'), 304, if_none_match='"x", "a,b"'),
    _matches(
        "a part of a tag with a comma does not match",
        MUST,
        reply(HOUR, etag='"b"'),
        200,
        if_none_match='"a,b"',
    ),
    _matches("a tag may be empty", SHOULD, reply(HOUR, etag='""'), 304, if_none_match='""'),
    _matches(
        "a tag may have octets above 127", SHOULD, reply(HOUR, etag='"a\xe4"'), 304, if_none_match='"a\xe4"'
    ),
    _matches("a tag without quotes does not match", FREE, TAG, 200, if_none_match="abc"),
    _matches("nor does one with a small w", FREE, WEAK, 200, if_none_match='w/"abc"'),
    _matches(
        "If-None-Match outweighs If-Modified-Since",
        MUST,
        reply(HOUR, etag='"abc"', last_modified=At(-9000)),
        200,
        if_none_match='"x"',
        if_modified_since=At(-9000),
    ),
    _matches(
        "the date of Last-Modified is a 304",
        SHOULD,
        reply(HOUR, last_modified=At(-9000)),
        304,
        if_modified_since=At(-9000),
    ),
    _matches(
        "a later date is a 304", SHOULD, reply(HOUR, last_modified=At(-9000)), 304, if_modified_since=At(-100)
    ),
    _matches(
        "an earlier date is a 200",
        MUST,
        reply(HOUR, last_modified=At(-9000)),
        200,
        if_modified_since=At(-9001),
    ),
    _matches(
        "what is no date is a 200",
        MUST,
        reply(HOUR, last_modified=At(-9000)),
        200,
        if_modified_since="yesterday",
    ),
    _matches(
        "a date in the obsolete form of RFC 850 counts",
        SHOULD,
        reply(HOUR, last_modified="Sun, 06 Nov 2016 08:49:37 GMT"),
        304,
        if_modified_since="Sunday, 06-Nov-16 08:49:37 GMT",
    ),
    _matches(
        "a date in the form of asctime counts",
        SHOULD,
        reply(HOUR, last_modified="Sun, 06 Nov 2016 08:49:37 GMT"),
        304,
        if_modified_since="Sun Nov  6 08:49:37 2016",
    ),
    _matches(
        "where Last-Modified is missing Date counts",
        SHOULD,
        reply(HOUR, date=At(-100)),
        304,
        if_modified_since=At(-50),
    ),
    Case(
        "9110 15.4.5",
        MUST,
        "a 304 has what a 200 would have of these",
        (
            Step(
                F, reply(HOUR, etag='"abc"', vary="Foo", content_location="/x", expires=At(3600), date=At())
            ),
            Step(
                R,
                asks=asks(if_none_match='"abc"'),
                status=304,
                has={
                    "etag": '"abc"',
                    "vary": "Foo",
                    "content-location": "/x",
                    "expires": At(3600),
                    "date": At(),
                    "cache-control": HOUR,
                },
                body="",
            ),
        ),
    ),
    Case(
        "9110 15.4.5",
        SHOULD,
        "a 304 has no other field of the content",
        (
            Step(F, reply(HOUR, etag='"abc"', content_type="text/plain", content_language="en")),
            Step(
                R,
                asks=asks(if_none_match='"abc"'),
                status=304,
                has={"content-type": None, "content-language": None},
            ),
        ),
    ),
    Case(
        "9110 13.2.2",
        MUST,
        "a condition about what is not a 200 does not count",
        (
            Step(F, reply(HOUR, etag='"abc"', status=404)),
            Step(R, asks=asks(if_none_match='"abc"'), status=404),
        ),
    ),
    Case(
        "9110 13.1.2",
        SHOULD,
        "HEAD knows conditions",
        (Step(F, TAG), Step(R, asks=asks(if_none_match='"abc"'), method="HEAD", status=304)),
    ),
]
# a field, what is stored of it, what the 304 says, and what is shown then
RENEWED = (
    ("test-header", "A", "B", "B"),
    ("x-test-header", "A", "B", "B"),
    ("content-foo", "A", "B", "B"),
    ("content-type", "text/plain", "text/plain;charset=utf-8", "text/plain;charset=utf-8"),
    ("content-location", "/foo", "/bar", "/bar"),
    ("content-language", "en", "de", "de"),
    ("content-security-policy", "default-src 'self'", "default-src 'none'", "default-src 'none'"),
    ("x-frame-options", "deny", "sameorigin", "sameorigin"),
    ("clear-site-data", '"cache"', '"cookies"', '"cookies"'),
    (
        "expires",
        "Fri, 01 Jan 2038 01:01:01 GMT",
        "Mon, 11 Jan 2038 11:11:11 GMT",
        "Mon, 11 Jan 2038 11:11:11 GMT",
    ),
    (
        "last-modified",
        "Wed, 01 Jan 2020 00:00:00 GMT",
        "Thu, 02 Jan 2020 00:00:00 GMT",
        "Thu, 02 Jan 2020 00:00:00 GMT",
    ),
    ("content-encoding", "x-a", "x-b", "x-a"),
    ("content-length", None, "999", "8"),
    ("content-range", None, "bytes 0-1/2", None),
)


def _renewal(name: str, stored: str | None, said: str, shown: str | None) -> Case:
    before = ((name, stored),) if stored is not None else ()
    replaced = shown == said
    return Case(
        "9111 3.2",
        MUST if not replaced or name.endswith("header") else SHOULD,
        f"a 304 renews {name}" if replaced else f"a 304 does not change {name}",
        (
            Step(F, Reply((("cache-control", HOUR), ("age", "7200"), ("etag", '"1"'), *before))),
            Step(
                V,
                Reply((("cache-control", HOUR), ("etag", '"1"'), (name, said)), 304),
                status=200,
                has={name: shown},
            ),
            Step(R, status=200, has={name: shown}, body="answer 0"),
        ),
    )


RENEWALS = [
    *(_renewal(*row) for row in RENEWED),
    Case(
        "9111 3.2",
        MUST,
        "what a 304 does not name stays",
        (
            Step(F, _stale(etag='"1"', test_header="A")),
            Step(V, has={"test-header": "A"}),
        ),
    ),
    Case(
        "9111 4.3.4",
        MUST,
        "the lifetime that a 304 names counts",
        (
            Step(F, _stale(etag='"1"')),
            Step(
                V,
                Reply((("cache-control", "max-age=7200"), ("etag", '"1"'), ("age", "3700")), 304),
                status=200,
            ),
            Step(R, status=200, has={"cache-control": "max-age=7200"}),
        ),
    ),
    Case(
        "9111 4.3.4",
        MUST,
        "the Age of what was stored does not stay",
        (
            Step(F, _stale(etag='"1"')),
            Step(V, Reply((("cache-control", HOUR), ("etag", '"1"')), 304), status=200),
            Step(R, status=200),
        ),
    ),
    Case(
        "9111 4.3.4",
        MUST,
        "a 304 with another strong ETag renews nothing",
        (
            Step(F, _stale(etag='"1"')),
            Step(OWN, Reply((("cache-control", HOUR), ("etag", '"2"')), 304), status=502),
        ),
    ),
    Case(
        "9111 3.1",
        MUST,
        "a 304 with no-store ends the storing, and the whole is asked for",
        (
            Step(F, _stale(etag='"1"')),
            Step(F, reply("no-store", etag='"1"'), sends={"if-none-match": None}),
            Step(F, reply(HOUR, etag='"2"'), sends={"if-none-match": None}),
        ),
    ),
]
CASES = [*SENT, *CLIENT, *RENEWALS]
