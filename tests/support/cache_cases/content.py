"""Ranges, methods, statuses, interim responses, and fields that are stored and shown."""

from cache_cases.case import At, Case, Level, Outcome, Reply, Step, asks, reply, twice

F, R, V, OWN = Outcome.FORWARDED, Outcome.REUSED, Outcome.VALIDATED, Outcome.REFUSED
MUST, SHOULD, FREE = Level.MUST, Level.SHOULD, Level.FREE
HOUR = "max-age=3600"
TEXT = "0123456789"
WHOLE = reply(HOUR, etag='"1"', body=TEXT)


def _range(text: str, level: Level, spec: str, status: int, body: str, content_range: str | None) -> Case:
    return Case(
        "9110 14.2",
        level,
        text,
        (
            Step(F, WHOLE),
            Step(R, asks=asks(range=spec), status=status, body=body, has={"content-range": content_range}),
        ),
    )


RANGES = [
    _range("the first bytes", SHOULD, "bytes=0-1", 206, "01", "bytes 0-1/10"),
    _range("from a byte to the end", SHOULD, "bytes=3-", 206, "3456789", "bytes 3-9/10"),
    _range("the last bytes", SHOULD, "bytes=-2", 206, "89", "bytes 8-9/10"),
    _range("an end beyond the content ends with it", SHOULD, "bytes=8-99", 206, "89", "bytes 8-9/10"),
    _range(
        "so does one that is no 64-bit number",
        SHOULD,
        "bytes=8-99999999999999999999999",
        206,
        "89",
        "bytes 8-9/10",
    ),
    _range("more last bytes than there are are all", SHOULD, "bytes=-99", 206, TEXT, "bytes 0-9/10"),
    _range("a beginning beyond the content is a 416", SHOULD, "bytes=10-", 416, "", "bytes */10"),
    _range("no last bytes are a 416", SHOULD, "bytes=-0", 416, "", "bytes */10"),
    _range("units have no case", SHOULD, "BYTES=0-1", 206, "01", "bytes 0-1/10"),
    _range("other units are ignored", MUST, "lines=0-1", 200, TEXT, None),
    _range("an end before the beginning is invalid, and ignored", MUST, "bytes=3-1", 200, TEXT, None),
    _range("what is no range is ignored", MUST, "bytes=a-b", 200, TEXT, None),
    _range("what has no equals sign is ignored", MUST, "bytes 0-1", 200, TEXT, None),
    Case(
        "9110 15.3.7",
        MUST,
        "a part shows the validator and the date",
        (
            Step(
                F,
                reply(
                    HOUR,
                    etag='"1"',
                    body=TEXT,
                    date=At(-5),
                    expires=At(3600),
                    vary="Foo",
                    content_location="/x",
                ),
            ),
            Step(
                R,
                asks=asks(range="bytes=0-1"),
                status=206,
                has={
                    "etag": '"1"',
                    "date": At(-5),
                    "expires": At(3600),
                    "vary": "Foo",
                    "content-location": "/x",
                    "content-length": "2",
                },
            ),
        ),
    ),
    Case(
        "9110 15.3.7.2",
        SHOULD,
        "several parts are multipart/byteranges",
        (
            Step(F, WHOLE),
            Step(
                R,
                asks=asks(range="bytes=0-1,8-9"),
                status=206,
                has={"content-type": ..., "content-range": None},
            ),
        ),
    ),
    Case(
        "9110 14.2",
        MUST,
        "a range of HEAD is ignored",
        (
            Step(F, WHOLE),
            Step(R, asks=asks(range="bytes=0-1"), method="HEAD", status=200, has={"content-length": "10"}),
        ),
    ),
    Case(
        "9110 14.2",
        MUST,
        "a range of what is no 200 is ignored",
        (
            Step(F, reply(HOUR, status=404, body=TEXT)),
            Step(R, asks=asks(range="bytes=0-1"), status=404, body=TEXT),
        ),
    ),
    Case(
        "9110 13.2.2",
        MUST,
        "a condition that holds comes before a range",
        (Step(F, WHOLE), Step(R, asks=asks(range="bytes=0-1", if_none_match='"1"'), status=304)),
    ),
    Case(
        "9110 13.1.5",
        MUST,
        "If-Range with the tag gives the part",
        (Step(F, WHOLE), Step(R, asks=asks(range="bytes=0-1", if_range='"1"'), status=206, body="01")),
    ),
    Case(
        "9110 13.1.5",
        MUST,
        "If-Range with another tag gives the whole",
        (Step(F, WHOLE), Step(R, asks=asks(range="bytes=0-1", if_range='"2"'), status=200, body=TEXT)),
    ),
    Case(
        "9110 13.1.5",
        MUST,
        "If-Range with a date that is old enough gives the part",
        (
            Step(F, reply(HOUR, body=TEXT, last_modified=At(-9000))),
            Step(R, asks=asks(range="bytes=0-1", if_range=At(-9000)), status=206, body="01"),
        ),
    ),
    Case(
        "9110 13.1.5",
        MUST,
        "If-Range with another date gives the whole",
        (
            Step(F, reply(HOUR, body=TEXT, last_modified=At(-9000))),
            Step(R, asks=asks(range="bytes=0-1", if_range=At(-8000)), status=200, body=TEXT),
        ),
    ),
    Case(
        "9110 13.1.5",
        MUST,
        "If-Range with a date that is not a strong validator gives the whole",
        (
            Step(F, reply(HOUR, body=TEXT, last_modified=At(-5), date=At())),
            Step(R, asks=asks(range="bytes=0-1", if_range=At(-5)), status=200, body=TEXT),
        ),
    ),
    Case(
        "9111 4.3.1",
        SHOULD,
        "a range of what is stale is validated first",
        (
            Step(F, reply(HOUR, etag='"1"', age="7200", body=TEXT)),
            Step(V, asks=asks(range="bytes=0-1"), status=206, body="01", sends={"if-none-match": '"1"'}),
        ),
    ),
    Case(
        "9111 3.3",
        FREE,
        "a part that the origin gave is not stored",
        (
            Step(
                F,
                reply(HOUR, status=206, body="89", content_range="bytes 8-9/10"),
                asks(range="bytes=-2"),
                sends={"range": "bytes=-2"},
            ),
            Step(F, asks=asks(range="bytes=-2")),
        ),
    ),
    Case(
        "9110 15.3.7",
        MUST,
        "a 206 that was not asked for is not passed on",
        (Step(OWN, reply(HOUR, status=206, body="89", content_range="bytes 8-9/10"), status=502),),
    ),
]
METHODS = [
    Case(
        "9111 4",
        SHOULD,
        "HEAD is answered from a stored GET",
        (Step(F, WHOLE), Step(R, method="HEAD", has={"content-length": "10", "etag": '"1"'}, body="")),
    ),
    Case(
        "9111 3",
        MUST,
        "a response to HEAD does not answer GET",
        (Step(F, WHOLE, method="HEAD"), Step(F, body=TEXT)),
    ),
    Case(
        "9111 4.3.5",
        FREE,
        "HEAD of what is stale asks the origin by HEAD",
        (Step(F, reply(HOUR, age="7200", etag='"1"')), Step(F, reply(HOUR, etag='"1"'), method="HEAD")),
    ),
    *(
        Case(
            "9111 3",
            MUST,
            f"a response to {method} does not answer GET",
            (Step(F, reply(HOUR), method=method), Step(F)),
        )
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY", "REPORT", "MKCOL")
    ),
    Case(
        "9110 9.3.3",
        FREE,
        "a response to POST with its own URL in Content-Location is not stored",
        (Step(F, reply(HOUR, content_location="{path}"), method="POST"), Step(F)),
    ),
    Case("9111 3", MUST, "a stored GET does not answer POST", (Step(F, reply(HOUR)), Step(F, method="POST"))),
]
STATUSES = [
    Case(
        "9110 15.3.5",
        MUST,
        "a stored 204 has no length",
        (
            Step(F, reply(HOUR, status=204), has={"content-length": None}),
            Step(R, has={"content-length": None}),
        ),
    ),
    Case(
        "9110 15.4.5",
        MUST,
        "a 304 that was not asked for is not passed on",
        (Step(OWN, Reply(status=304), status=502),),
    ),
    Case(
        "9110 15.2",
        SHOULD,
        "a 103 reaches the client, and the final response is stored",
        (
            Step(
                F,
                Reply(
                    (("cache-control", HOUR),),
                    interim=((103, (("link", "</a.css>; rel=preload"), ("x-early", "1"))),),
                ),
                has={"x-early": None},
            ),
            Step(R, has={"x-early": None}),
        ),
    ),
    Case(
        "9110 15.2",
        SHOULD,
        "of a 102 the final response is stored",
        (Step(F, Reply((("cache-control", HOUR),), interim=((102, ()),))), Step(R)),
    ),
    Case(
        "9110 15.2",
        SHOULD,
        "of two interim responses too",
        (
            Step(
                F,
                Reply(
                    (("cache-control", HOUR),),
                    interim=((102, ()), (103, (("link", "</a.css>; rel=preload"),))),
                ),
            ),
            Step(R),
        ),
    ),
    Case(
        "9110 15.2",
        MUST,
        "a lifetime of an interim response does not count",
        (
            Step(F, Reply((), interim=((103, (("cache-control", HOUR), ("link", "</a>; rel=preload"))),))),
            Step(F),
        ),
    ),
]
KEPT = (
    "test-header",
    "x-test-header",
    "content-foo",
    "content-security-policy",
    "clear-site-data",
    "x-frame-options",
    "content-disposition",
    "content-language",
    "link",
    "server",
    "accept-ranges",
    "allow",
    "access-control-allow-origin",
)
GONE = ("keep-alive", "proxy-connection", "te", "upgrade")
FIELDS = [
    *(
        Case(
            "9111 3.1",
            MUST,
            f"{name} is stored",
            (
                Step(F, Reply((("cache-control", HOUR), (name, "v1"))), has={name: "v1"}),
                Step(R, has={name: "v1"}),
            ),
        )
        for name in KEPT
    ),
    *(
        Case(
            "9110 7.6.1",
            MUST,
            f"{name} is of one connection",
            (
                Step(F, Reply((("cache-control", HOUR), (name, "v1"))), has={name: None}),
                Step(R, has={name: None}),
            ),
        )
        for name in GONE
    ),
    Case(
        "9110 7.6.1",
        MUST,
        "so is what Connection names",
        (
            Step(
                F,
                Reply((("cache-control", HOUR), ("connection", "a, B"), ("a", "1"), ("b", "2"), ("c", "3"))),
                has={"a": None, "b": None, "c": "3"},
            ),
            Step(R, has={"a": None, "b": None, "c": "3", "connection": None}),
        ),
    ),
    Case(
        "9111 3.1",
        MUST,
        "lines of one name stay in their order",
        (
            Step(
                F, Reply((("cache-control", HOUR), ("x-list", "1"), ("x-list", "2"))), has={"x-list": "1, 2"}
            ),
            Step(R, has={"x-list": "1, 2"}),
        ),
    ),
    Case(
        "9110 5.5",
        SHOULD,
        "octets above 127 are passed on",
        (
            Step(F, reply(HOUR, x_text="\xe4\xf6"), has={"x-text": "\xe4\xf6"}),
            Step(R, has={"x-text": "\xe4\xf6"}),
        ),
    ),
    Case("9111 4", MUST, "a reused response has an Age", (Step(F, reply(HOUR)), Step(R, has={"age": ...}))),
    Case(
        "9111 5.1",
        MUST,
        "an Age that came with it counts on",
        (Step(F, reply(HOUR, age="1000", date=None)), Step(R, has={"age": ...})),
    ),
    Case(
        "9110 6.6.1",
        MUST,
        "Date stays",
        (Step(F, reply(HOUR, date=At(-100))), Step(R, has={"date": At(-100)})),
    ),
    Case(
        "9110 6.6.1",
        MUST,
        "Date stays beside Expires",
        (
            Step(F, reply(expires=At(3600), date=At(-100))),
            Step(R, has={"date": At(-100), "expires": At(3600)}),
        ),
    ),
    Case(
        "9111 5.3",
        SHOULD,
        "Expires stays beside max-age",
        (Step(F, reply(HOUR, expires=At(9))), Step(R, has={"expires": At(9)})),
    ),
    Case("9111 5.5", SHOULD, "no Warning is made", (Step(F, reply(HOUR)), Step(R, has={"warning": None}))),
    Case(
        "9110 6.6.1",
        MUST,
        "a Date is made where there is none",
        (Step(F, reply(HOUR, date=None), has={"date": ...}), Step(R, has={"date": ...})),
    ),
    Case(
        "9211 2",
        SHOULD,
        "Cache-Status says what was done",
        (
            Step(F, reply(HOUR), has={"cache-status": ...}),
            Step(R, has={"cache-status": ...}),
        ),
    ),
    Case(
        "9211 2",
        MUST,
        "Cache-Status of a cache before this one stays before its own",
        (
            Step(
                F,
                reply(cache_status="inner; hit"),
                has={"cache-status": "inner; hit, edge1.sennit; fwd=uri-miss; fwd-status=200"},
            ),
        ),
    ),
    Case("9110 7.6.3", MUST, "Via names the edge to the origin", (Step(F, reply(HOUR), sends={"via": ...}),)),
    Case("9111 3", SHOULD, "content is reused as it came", twice(R, reply(HOUR, body="a\r\n\x00b"))),
]
CASES = [*RANGES, *METHODS, *STATUSES, *FIELDS]
