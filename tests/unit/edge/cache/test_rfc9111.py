"""What RFC 9111 and its companions ask of a shared cache: each rule a row, played through the whole proxy.

A row is a story of requests. Each step says what the origin would answer, when and what the client asks, and what the
field Cache-Status must say then: exactly, so that a row fails also when the right answer came for a wrong reason.
"""

from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from cdn import cdn, http_date

FIRST = "fwd=uri-miss; fwd-status=200"
HIT = "hit"


@dataclass
class Step:
    """`says`: Cache-Status without the cache's name; with `ttl` left out where `says` names none."""

    says: str
    asks: dict[str, str] = field(default_factory=dict)
    origin: dict[str, str] | None = None
    after: float = 0.0
    status: int = 200
    gives: int | None = None
    age: str | None = None
    method: str = "GET"
    path: str = "/a"


@dataclass
class Rule:
    section: str
    rule: str
    steps: list[Step]

    def __str__(self) -> str:
        return f"{self.section}: {self.rule}"


def stored(cache_control: str, **more: str) -> dict[str, str]:
    return {"cache-control": cache_control} | {name.replace("_", "-"): value for name, value in more.items()}


def twice(says: str, origin: dict[str, str], *, after: float = 0.0, **asks: str) -> list[Step]:
    """A first request that fills the store if it may, then one that shows it."""
    headers = {name.replace("_", "-"): value for name, value in asks.items()}
    return [Step("", headers, origin), Step(says, headers, after=after)]


REVALIDATED = "fwd=stale; fwd-status=304"
RULES = [
    # --- section 3: storing
    Rule("3", "what has a lifetime is stored and reused", twice(HIT, stored("max-age=60"))),
    Rule(
        "3",
        "a heuristically cacheable status needs no directive",
        twice(HIT, {"last-modified": http_date(-1e6)}),
    ),
    Rule(
        "3",
        "any final status with a lifetime is stored",
        [Step("", {}, stored("max-age=60"), status=302, gives=302), Step(HIT, status=302)],
    ),
    Rule(
        "3",
        "a status that is not heuristically cacheable needs a lifetime",
        [
            Step("", {}, {"last-modified": http_date(-1e6)}, status=302, gives=302),
            Step("fwd=uri-miss; fwd-status=302", status=302),
        ],
    ),
    Rule("3", "neither lifetime nor validator: nothing is gained by storing", twice(FIRST, {})),
    Rule(
        "3",
        "a response that sets a cookie belongs to one client",
        twice(FIRST, stored("max-age=60", set_cookie="a=b")),
    ),
    Rule(
        "3.3",
        "a part is not stored as the whole",
        [
            Step(
                "fwd=uri-miss; fwd-status=206",
                {"range": "bytes=5000000-"},
                stored("max-age=60", content_range="bytes 0-1/4"),
                status=206,
                gives=206,
            ),
            Step(FIRST + "; stored", origin=stored("max-age=60"), gives=200),
        ],
    ),
    Rule(
        "3.5",
        "a response to credentials is not shared",
        twice(FIRST, stored("max-age=60"), authorization="x"),
    ),
    Rule("3.5", "unless it is public", twice(HIT, stored("public, max-age=60"), authorization="x")),
    Rule("3.5", "or has s-maxage", twice(HIT, stored("s-maxage=60"), authorization="x")),
    Rule(
        "3.5", "or must be revalidated", twice(HIT, stored("must-revalidate, max-age=60"), authorization="x")
    ),
    # --- section 4: selecting and reusing
    Rule(
        "4",
        "another URL is another response",
        [Step("", {}, stored("max-age=60")), Step(FIRST + "; stored", path="/a?b")],
    ),
    Rule(
        "4",
        "another host is another response",
        [Step("", {}, stored("max-age=60")), Step(FIRST + "; stored", {"host": "other"})],
    ),
    Rule(
        "4",
        "host names have no case, and a default port is none",
        [Step("", {}, stored("max-age=60")), Step(HIT, {"host": "CDN:80"})],
    ),
    Rule(
        "4",
        "HEAD is answered from a stored GET",
        [Step("", {}, stored("max-age=60")), Step(HIT, method="HEAD")],
    ),
    Rule(
        "4",
        "a response to HEAD does not answer GET",
        [Step(FIRST, {}, stored("max-age=60"), method="HEAD"), Step(FIRST + "; stored")],
    ),
    Rule(
        "4.1",
        "a request that differs in a field of Vary is another variant",
        [
            Step("", {"accept-language": "de"}, stored("max-age=60", vary="Accept-Language")),
            Step("fwd=vary-miss; fwd-status=200; stored", {"accept-language": "fr"}),
            Step(HIT, {"accept-language": "de"}),
            Step(HIT, {"accept-language": "fr"}),
        ],
    ),
    Rule(
        "4.1",
        "white space does not make a variant",
        [
            Step("", {"accept-language": "de, fr"}, stored("max-age=60", vary="Accept-Language")),
            Step(HIT, {"accept-language": "de,  fr"}),
        ],
    ),
    Rule(
        "4.1",
        "codings have no order",
        [
            Step("", {"accept-encoding": "gzip, br"}, stored("max-age=60", vary="accept-encoding")),
            Step(HIT, {"accept-encoding": "BR,gzip"}),
        ],
    ),
    Rule(
        "4.1",
        "a field that is absent matches only absence",
        [
            Step("", {}, stored("max-age=60", vary="accept-language")),
            Step("fwd=vary-miss; fwd-status=200; stored", {"accept-language": "de"}),
        ],
    ),
    Rule("4.1", "Vary: * matches nothing", twice(FIRST, stored("max-age=60", vary="*"))),
    Rule(
        "4.2",
        "what is older than its lifetime is stale",
        twice(REVALIDATED, stored("max-age=60", etag='"1"'), after=61),
    ),
    Rule("4.2.1", "s-maxage outweighs max-age", twice(HIT, stored("max-age=1, s-maxage=60"), after=30)),
    Rule(
        "4.2.1",
        "max-age outweighs Expires",
        twice(HIT, stored("max-age=60", expires=http_date(-10)), after=30),
    ),
    Rule("4.2.1", "Expires counts from Date", twice(HIT, {"expires": http_date(60)}, after=59)),
    Rule("4.2.1", "and no longer", twice(REVALIDATED, {"expires": http_date(60), "etag": '"1"'}, after=61)),
    Rule(
        "4.2.1",
        "an Expires that is no date is in the past",
        twice(REVALIDATED, {"expires": "0", "etag": '"1"'}),
    ),
    Rule(
        "4.2.1", "a max-age that is no number is stale", twice(REVALIDATED, stored("max-age=x", etag='"1"'))
    ),
    Rule("4.2.1", "of two max-age the first counts", twice(HIT, stored("max-age=60, max-age=1"), after=30)),
    Rule("4.2.1", "a quoted number counts", twice(HIT, stored('max-age="60"'), after=30)),
    Rule(
        "4.2.1", "a number beyond all bounds is long", twice(HIT, stored("max-age=99999999999999"), after=1e6)
    ),
    Rule(
        "4.2.2",
        "a tenth of the time since Last-Modified",
        twice(HIT, {"last-modified": http_date(-1000)}, after=99),
    ),
    Rule(
        "4.2.2",
        "and no more",
        [
            Step("", {}, {"last-modified": http_date(-1000)}),
            Step("fwd=stale; fwd-status=200; stored", after=101),
        ],
    ),
    Rule(
        "4.2.2",
        "a day at most",
        [
            Step("", {}, {"last-modified": http_date(-1e8)}),
            Step(HIT, after=86_000),
            Step("fwd=stale; fwd-status=200; stored", after=1000),
        ],
    ),
    Rule(
        "4.2.2",
        "a 404 without a lifetime is kept for the time set",
        [
            Step("", {}, {}, status=404, gives=404),
            Step(HIT, after=4, status=404),
            Step("fwd=stale; fwd-status=404; stored", after=2, status=404),
        ],
    ),
    Rule(
        "4.2.3",
        "Age that came with it counts",
        twice(REVALIDATED, stored("max-age=60", age="50", etag='"1"'), after=11),
    ),
    Rule(
        "4.2.3",
        "and is given on",
        [Step("", {}, stored("max-age=60", age="50")), Step(HIT, after=5, age="55")],
    ),
    Rule(
        "4.2.3",
        "Date long past counts as age",
        [Step("", {}, stored("max-age=60", date=http_date(-40))), Step(HIT, after=5, age="45")],
    ),
    Rule(
        "4.2.4",
        "stale is not given unasked",
        twice("fwd=stale; fwd-status=200; stored", stored("max-age=1"), after=2),
    ),
    Rule("4.3.1", "revalidated by ETag", twice(REVALIDATED, stored("max-age=0", etag='"1"'))),
    Rule(
        "4.3.3",
        "a confirmation renews the lifetime",
        [Step("", {}, stored("max-age=10", etag='"1"')), Step(REVALIDATED, after=11), Step(HIT, after=9)],
    ),
    Rule(
        "4.3.3",
        "a full answer replaces what was stored",
        [
            Step("", {}, stored("max-age=10", etag='"1"')),
            Step("fwd=stale; fwd-status=200; stored", origin=stored("max-age=10", etag='"2"'), after=11),
            Step(HIT),
        ],
    ),
    Rule(
        "4.3.3",
        "an error is given on, what is stored stays",
        [
            Step("", {}, stored("max-age=10", etag='"1"')),
            Step("fwd=stale; fwd-status=503", after=11, gives=503, status=503, origin=stored("no-store")),
            Step(REVALIDATED, gives=200, origin=stored("max-age=10", etag='"1"')),
        ],
    ),
    Rule(
        "4.3.4",
        "a confirmation of something else is none",
        [
            Step("", {}, stored("max-age=0", etag='"1"')),
            Step("fwd=stale; fwd-status=200; stored", origin=stored("max-age=60", etag='"2"')),
            Step(HIT),
        ],
    ),
    Rule(
        "4.3.5",
        "a HEAD with another validator shows that it is old",
        [
            Step("", {}, stored("max-age=10", etag='"1"')),
            Step(
                "fwd=partial; fwd-status=200",
                after=11,
                method="HEAD",
                origin=stored("max-age=10", etag='"2"'),
            ),
            Step(FIRST + "; stored"),
        ],
    ),
    Rule(
        "4.4",
        "an unsafe method that succeeds invalidates",
        [
            Step("", {}, stored("max-age=60")),
            Step("fwd=method; fwd-status=200", method="POST"),
            Step(FIRST + "; stored"),
        ],
    ),
    Rule(
        "4.4",
        "one that fails does not",
        [
            Step("", {}, stored("max-age=60")),
            Step("fwd=method; fwd-status=500", method="DELETE", gives=500, status=500),
            Step(HIT),
        ],
    ),
    Rule(
        "4.4",
        "a safe one does not",
        [Step("", {}, stored("max-age=60")), Step("fwd=method; fwd-status=200", method="OPTIONS"), Step(HIT)],
    ),
    Rule(
        "4.4",
        "it invalidates what Location names on the same host",
        [
            Step("", {}, stored("max-age=60"), path="/new"),
            Step(
                "fwd=method; fwd-status=201",
                method="POST",
                gives=201,
                status=201,
                origin={"location": "/new"},
            ),
            Step(FIRST + "; stored", path="/new", gives=200, origin=stored("max-age=60")),
        ],
    ),
    Rule(
        "4.4",
        "not on another",
        [
            Step("", {}, stored("max-age=60"), path="/new"),
            Step(
                "fwd=method; fwd-status=201",
                method="POST",
                gives=201,
                status=201,
                origin={"location": "http://x/new"},
            ),
            Step(HIT, path="/new"),
        ],
    ),
    # --- section 5: fields
    Rule(
        "5.2.1.1",
        "the client's max-age asks for younger",
        twice(
            "fwd=request; fwd-status=200; stored", stored("max-age=60"), after=9, cache_control="max-age=5"
        ),
    ),
    Rule(
        "5.2.1.2",
        "max-stale takes older",
        twice(HIT, stored("max-age=60"), after=65, cache_control="max-stale=10"),
    ),
    Rule(
        "5.2.1.2",
        "up to its number",
        twice(
            "fwd=stale; fwd-status=200; stored", stored("max-age=60"), after=75, cache_control="max-stale=10"
        ),
    ),
    Rule(
        "5.2.1.2",
        "any, without a number",
        twice(HIT, stored("max-age=60"), after=999, cache_control="max-stale"),
    ),
    Rule(
        "5.2.1.3",
        "min-fresh asks for time left",
        twice(
            "fwd=request; fwd-status=200; stored",
            stored("max-age=60"),
            after=55,
            cache_control="min-fresh=10",
        ),
    ),
    Rule(
        "5.2.1.4",
        "the client's no-cache asks the origin",
        twice("fwd=request; fwd-status=304", stored("max-age=60", etag='"1"'), cache_control="no-cache"),
    ),
    Rule(
        "5.2.1.5",
        "the client's no-store stores nothing",
        [Step("", {"cache-control": "no-store"}, stored("max-age=60")), Step(FIRST + "; stored")],
    ),
    Rule(
        "5.2.1.7",
        "only-if-cached does not ask the origin",
        [
            Step(
                "detail=only-if-cached", {"cache-control": "only-if-cached"}, stored("max-age=60"), status=504
            ),
            Step(FIRST + "; stored"),
            Step(HIT, {"cache-control": "only-if-cached"}),
        ],
    ),
    Rule(
        "5.2.2.2",
        "must-revalidate forbids stale",
        twice(
            "fwd=stale; fwd-status=200; stored",
            stored("max-age=60, must-revalidate"),
            after=61,
            cache_control="max-stale",
        ),
    ),
    Rule(
        "5.2.2.3",
        "must-understand stores what is understood",
        twice(HIT, stored("max-age=60, no-store, must-understand")),
    ),
    Rule(
        "5.2.2.3",
        "and nothing else",
        [
            Step("", {}, stored("max-age=60, must-understand"), status=299, gives=299),
            Step("fwd=uri-miss; fwd-status=299", status=299),
        ],
    ),
    Rule(
        "5.2.2.4", "no-cache asks each time", twice(REVALIDATED, stored("no-cache, max-age=60", etag='"1"'))
    ),
    Rule(
        "5.2.2.4",
        "also with field names",
        twice(REVALIDATED, stored('no-cache="x, y", max-age=60', etag='"1"')),
    ),
    Rule("5.2.2.5", "no-store is not stored", twice(FIRST, stored("no-store, max-age=60"))),
    Rule("5.2.2.5", "however it is written", twice(FIRST, stored("max-age=60, No-Store"))),
    Rule("5.2.2.7", "private is not stored", twice(FIRST, stored("private, max-age=60"))),
    Rule("5.2.2.7", "also with field names", twice(FIRST, stored('private="x", max-age=60'))),
    Rule(
        "5.2.2.8",
        "proxy-revalidate forbids stale",
        twice(
            "fwd=stale; fwd-status=200; stored",
            stored("max-age=60, proxy-revalidate"),
            after=61,
            cache_control="max-stale",
        ),
    ),
    Rule(
        "5.2.2.9",
        "public makes any status storable",
        [
            Step("", {}, stored("public", last_modified=http_date(-1000)), status=302, gives=302),
            Step(HIT, status=302, after=9),
        ],
    ),
    Rule(
        "5.2.2.10",
        "s-maxage implies proxy-revalidate",
        twice(
            "fwd=stale; fwd-status=200; stored", stored("s-maxage=60"), after=61, cache_control="max-stale"
        ),
    ),
    Rule(
        "5.2.3",
        "an unknown directive means nothing",
        twice(HIT, stored('max-age=60, foo="no-store, private"')),
    ),
    Rule(
        "5.4",
        "Pragma: no-cache counts without Cache-Control",
        twice("fwd=request; fwd-status=200; stored", stored("max-age=60"), pragma="no-cache"),
    ),
    Rule(
        "5.4",
        "and not beside it",
        twice(HIT, stored("max-age=60"), pragma="no-cache", cache_control="max-age=9"),
    ),
    # --- RFC 9110: conditions and ranges that the cache answers itself
    Rule(
        "9110 13.1.1",
        "If-Match is the origin's to evaluate",
        [
            Step("", {}, stored("max-age=60", etag='"1"')),
            Step("fwd=bypass; fwd-status=200", {"if-match": '"1"'}),
        ],
    ),
    Rule(
        "9110 13.1.2",
        "If-None-Match from the store",
        [
            Step("", {}, stored("max-age=60", etag='"1"')),
            Step(HIT, {"if-none-match": '"0", W/"1"'}, status=304),
        ],
    ),
    Rule(
        "9110 13.1.2",
        "another tag gets it whole",
        [Step("", {}, stored("max-age=60", etag='"1"')), Step(HIT, {"if-none-match": '"0"'})],
    ),
    Rule(
        "9110 13.1.2",
        "a condition does not hinder storing",
        [
            Step(FIRST + "; stored", {"if-none-match": '"1"'}, stored("max-age=60", etag='"1"'), status=304),
            Step(HIT),
        ],
    ),
    Rule(
        "9110 13.1.3",
        "If-Modified-Since from the store",
        [
            Step("", {}, stored("max-age=60", last_modified=http_date(-100))),
            Step(HIT, {"if-modified-since": http_date(-100)}, status=304),
            Step(HIT, {"if-modified-since": http_date(-101)}),
        ],
    ),
    Rule(
        "9110 13.1.3",
        "it does not count beside If-None-Match",
        [
            Step("", {}, stored("max-age=60", etag='"1"', last_modified=http_date(-100))),
            Step(HIT, {"if-modified-since": http_date(), "if-none-match": '"0"'}),
        ],
    ),
    Rule(
        "9110 13.1.5",
        "If-Range that holds",
        [
            Step("", {}, stored("max-age=60", etag='"1"')),
            Step(HIT, {"range": "bytes=1-2", "if-range": '"1"'}, status=206),
        ],
    ),
    Rule(
        "9110 13.1.5",
        "that does not",
        [
            Step("", {}, stored("max-age=60", etag='"1"')),
            Step(HIT, {"range": "bytes=1-2", "if-range": '"0"'}),
        ],
    ),
    Rule(
        "9110 13.1.5",
        "a weak tag never holds",
        [
            Step("", {}, stored("max-age=60", etag='W/"1"')),
            Step(HIT, {"range": "bytes=1-2", "if-range": 'W/"1"'}),
        ],
    ),
    Rule(
        "9110 14.2",
        "a range from the store",
        [Step("", {}, stored("max-age=60")), Step(HIT, {"range": "bytes=1-2"}, status=206)],
    ),
    Rule(
        "9110 14.2",
        "several",
        [Step("", {}, stored("max-age=60")), Step(HIT, {"range": "bytes=0-0,2-2"}, status=206)],
    ),
    Rule(
        "9110 15.5.17",
        "none that lies within",
        [Step("", {}, stored("max-age=60")), Step(HIT, {"range": "bytes=9-"}, status=416)],
    ),
    Rule(
        "9110 14.2",
        "what is not stored is asked for as it is",
        [
            Step(
                "fwd=uri-miss; fwd-status=206",
                {"range": "bytes=5000000-"},
                stored("max-age=60"),
                gives=206,
                status=206,
            )
        ],
    ),
    # --- RFC 5861
    Rule(
        "5861 3",
        "stale-while-revalidate is served at once",
        [
            Step("", {}, stored("max-age=10, stale-while-revalidate=5")),
            Step(HIT, after=12),
            Step(HIT, age="0"),
        ],
    ),
    Rule(
        "5861 3",
        "no longer than it says",
        twice("fwd=stale; fwd-status=200; stored", stored("max-age=10, stale-while-revalidate=5"), after=16),
    ),
    Rule(
        "5861 3",
        "not against must-revalidate",
        twice(
            "fwd=stale; fwd-status=200; stored",
            stored("max-age=10, stale-while-revalidate=5, must-revalidate"),
            after=12,
        ),
    ),
    Rule(
        "5861 4",
        "stale-if-error stands in for an error",
        [
            Step("", {}, stored("max-age=10, stale-if-error=60")),
            Step("fwd=stale; fwd-status=503; detail=stale-if-error", after=30, gives=503, origin={}),
            Step("fwd=stale; fwd-status=503", after=60, status=503),
        ],
    ),
    Rule(
        "5861 4",
        "the request may allow it too",
        [
            Step("", {}, stored("max-age=10")),
            Step(
                "fwd=stale; fwd-status=500; detail=stale-if-error",
                {"cache-control": "stale-if-error=60"},
                after=30,
                gives=500,
                origin={},
            ),
        ],
    ),
    Rule(
        "5861 4",
        "not for what is no error of a server",
        [
            Step("", {}, stored("max-age=10, stale-if-error=60")),
            Step("fwd=stale; fwd-status=404; stored", after=30, gives=404, origin={}, status=404),
        ],
    ),
    # --- fields that name dates and ages
    *(
        Rule("5.3", f"Expires of an invalid form is past: {value}", twice(FIRST, {"expires": value}))
        for value in (
            "0",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 02:01:18 +0000",
        )
    ),
    *(
        Rule("5.3", f"Expires has three forms: {value}", twice(HIT, {"expires": value}))
        for value in (
            "Thu, 18 Aug 2050 02:01:18 GMT",
            "thu, 18 aug 2050 02:01:18 gmt",
            "Thursday, 18-Aug-50 02:01:18 GMT",
            "Thu Aug 18 02:01:18 2050",
        )
    ),
    Rule(
        "5.1",
        "parameters of Age are ignored",
        twice("fwd=stale; fwd-status=200; stored", stored("max-age=3600", age="7200;foo")),
    ),
    Rule(
        "5.1",
        "of several Ages the first counts",
        twice("fwd=stale; fwd-status=200; stored", stored("max-age=3600", age="7200, 0")),
    ),
    Rule("5.1", "an invalid Age is ignored", twice(HIT, stored("max-age=3600", age="7200.5"))),
    # --- targeted directives
    Rule(
        "9213 2.2",
        "CDN-Cache-Control counts before Cache-Control",
        twice(HIT, stored("no-store", cdn_cache_control="max-age=60")),
    ),
    Rule(
        "9213 2.2",
        "also where it is stricter",
        twice(FIRST, stored("max-age=60", cdn_cache_control="no-store")),
    ),
    Rule(
        "9213 2.2",
        "and before Expires",
        twice(FIRST, {"cdn-cache-control": "max-age=0", "expires": http_date(60)}),
    ),
    Rule(
        "9213 2.1",
        "an invalid one does not count",
        twice(HIT, stored("max-age=60", cdn_cache_control="MAX-AGE=0")),
    ),
    # --- selecting fields
    *(
        Rule(
            "4.1",
            f"Vary with what is not the name of a field selects nothing: {value!r}",
            twice(FIRST, stored("max-age=60", vary=value)),
        )
        for value in ("accept-language cookie", "accept-language; cookie", "a, b c", '"a"')
    ),
    Rule(
        "4.1",
        "white space around commas makes no variant",
        [
            Step("", {"accept-language": "de,en"}, stored("max-age=60", vary="accept-language")),
            Step(HIT, {"accept-language": "de , en"}),
        ],
    ),
    Rule(
        "4.1",
        "quality values make no variant of codings",
        [
            Step("", {"accept-encoding": "gzip, br;q=0.5"}, stored("max-age=60", vary="accept-encoding")),
            Step(HIT, {"accept-encoding": "br, gzip;q=0.9"}),
            Step("fwd=vary-miss; fwd-status=200; stored", {"accept-encoding": "br, gzip;q=0"}),
        ],
    ),
    *(
        Rule(
            "4.4",
            f"{method} invalidates" if unsafe else f"{method} is safe and does not",
            [
                Step("", {}, stored("max-age=60")),
                Step("fwd=method; fwd-status=200", method=method),
                Step(FIRST + "; stored" if unsafe else HIT),
            ],
        )
        for method, unsafe in (
            ("QUERY", False),
            ("PROPFIND", False),
            ("SEARCH", False),
            ("REPORT", False),
            ("PATCH", True),
            ("MKCOL", True),
            ("UNKNOWN", True),
        )
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_the_cache_keeps_the_rule(rule: Rule, tmp_path: Path) -> None:
    async with cdn(tmp_path, negative_seconds=5) as it:
        for step in rule.steps:
            it.clock.now += step.after
            if step.origin is not None:
                it.origin.headers = list(step.origin.items())
            if step.gives is not None:
                it.origin.status = step.gives
            if it.origin.status == 206:
                it.origin.headers = [*it.origin.headers, ("content-range", "bytes 1-2/4")]
                it.origin.body = b"od"
            else:
                it.origin.body = b"body"
            if "4.3.4" in str(rule):
                it.origin.answer = confirms_another
            answer = await it.client.request(step.method, step.path, headers=step.asks)
            await it.settled()
            said = answer.headers["cache-status"].removeprefix("edge1; ")
            assert answer.status_code == step.status, said
            assert without_ttl(said) == step.says or not step.says
            if step.age is not None:
                assert answer.headers["age"] == step.age


def without_ttl(said: str) -> str:
    return "; ".join(part for part in said.split("; ") if not part.startswith("ttl="))


def confirms_another(request: httpx.Request) -> httpx.Response | None:
    if "if-none-match" in request.headers:
        return httpx.Response(304, headers={"etag": '"2"'})
    return None
