"""How Cache-Control is read, and what its directives do in responses and requests (RFC 9111 section 5.2)."""

from cache_cases.case import At, Case, Level, Outcome, Reply, Step, asks, reply, twice

F, R, V = Outcome.FORWARDED, Outcome.REUSED, Outcome.VALIDATED
MUST, SHOULD, FREE = Level.MUST, Level.SHOULD, Level.FREE
HOUR = "max-age=3600"


def _lines(*control: str) -> Reply:
    return Reply(tuple(("cache-control", value) for value in control))


PARSING = [
    Case("9110 5.3", MUST, "a directive on a second line counts", twice(F, _lines(HOUR, "no-store"))),
    Case("9110 5.3", MUST, "and one on the first", twice(F, _lines("no-store", HOUR))),
    Case("9110 5.3", SHOULD, "lines that are empty count for nothing", twice(R, _lines("", HOUR, ","))),
    Case("9110 5.6.1", MUST, "empty members of the list are ignored", twice(R, _lines(f", ,{HOUR},, "))),
    Case("9110 5.6.3", MUST, "tabs are white space", twice(R, _lines(f"\t,\t{HOUR}\t"))),
    Case(
        "9110 5.6.4", MUST, "a comma in a quoted string is text", twice(R, _lines(f'x="a, no-store", {HOUR}'))
    ),
    Case(
        "9110 5.6.4", MUST, "so is a quote after a backslash", twice(R, _lines(rf'x="a\", no-store", {HOUR}'))
    ),
    Case(
        "9110 5.6.4",
        MUST,
        "a backslash before another backslash ends nothing",
        twice(F, _lines(rf'x="a\\", no-store, {HOUR}')),
    ),
    Case(
        "9111 5.2",
        MUST,
        "a max-age in a quoted string before the real one is text",
        twice(F, _lines('x="max-age=3600", max-age=0')),
    ),
    Case(
        "9111 5.2",
        MUST,
        "a max-age in a quoted string behind the real one is text",
        twice(F, _lines('max-age=0, x="max-age=3600"')),
    ),
    Case(
        "9111 5.2", MUST, "a name that only begins alike is another", twice(R, _lines(f"no-storex, {HOUR}"))
    ),
    Case("9111 5.2", MUST, "a name that only ends alike is another", twice(R, _lines(f"x-no-store, {HOUR}"))),
    Case("9111 5.2", MUST, "max-agex is no max-age", twice(F, _lines("max-agex=3600"))),
    Case(
        "9111 5.2", SHOULD, "no-store with an argument is no-store", twice(F, _lines(f"no-store=1, {HOUR}"))
    ),
    Case("9111 5.2", MUST, "names have no case: No-sToRe", twice(F, _lines(f"No-sToRe, {HOUR}"))),
    Case("9111 5.2", MUST, "names have no case: PRIVATE", twice(F, _lines(f"PRIVATE, {HOUR}"))),
    Case("9111 1.2.2", SHOULD, "leading zeros are digits", twice(R, _lines("max-age=003600"))),
    Case("9111 1.2.2", MUST, "single quotes quote nothing", twice(F, _lines("max-age='3600'"))),
    Case(
        "9111 4.2.1", SHOULD, "a letter before the number makes it stale", twice(F, _lines("max-age=a3600"))
    ),
    Case(
        "9111 4.2.1", SHOULD, "a letter behind the number makes it stale", twice(F, _lines("max-age=3600a"))
    ),
    Case("9111 4.2.1", SHOULD, "a fraction makes it stale", twice(F, _lines("max-age=3600.5"))),
    Case("9111 4.2.1", SHOULD, "a sign makes it stale", twice(F, _lines("max-age=+3600"))),
    Case("9111 4.2.1", FREE, "of two lines of max-age the first counts", twice(R, _lines(HOUR, "max-age=0"))),
    Case(
        "9111 4.2.1",
        FREE,
        "of two max-age the first counts, if it is stale too",
        twice(F, _lines("max-age=0", HOUR)),
    ),
    Case(
        "9111 5.2", FREE, "white space before the equals sign is no matter", twice(R, _lines("max-age =3600"))
    ),
    Case("9111 5.2", FREE, "white space behind it is none either", twice(R, _lines("max-age= 3600"))),
]
RESPONSES = [
    Case(
        "9111 5.2.2.4",
        MUST,
        "no-cache is stored and validated, whatever its lifetime",
        twice(V, reply(f"no-cache, {HOUR}", last_modified=At(-9000), expires=At(3600))),
    ),
    Case(
        "9111 5.2.2.4",
        MUST,
        "names have no case: No-CaChE",
        twice(V, reply(f"No-CaChE, {HOUR}", etag='"1"')),
    ),
    Case(
        "9111 5.2.2.4",
        MUST,
        "a field that no-cache names does not go out unvalidated",
        twice(V, reply(f'no-cache="x-secret", {HOUR}', etag='"1"', x_secret="1")),
    ),
    Case(
        "9111 5.2.2.7",
        MUST,
        "a field that private names does not reach another client",
        twice(F, reply(f'private="x-secret", {HOUR}', x_secret="1")),
    ),
    Case("9111 5.2.2.5", MUST, "no-store beside Expires", twice(F, reply("no-store", expires=At(3600)))),
    Case("9111 5.2.2.7", MUST, "private beside s-maxage", twice(F, reply("private, s-maxage=3600"))),
    Case("9111 5.2.2.7", MUST, "private beside public", twice(F, reply(f"public, private, {HOUR}"))),
    Case(
        "9111 5.2.2.2",
        SHOULD,
        "must-revalidate while fresh is reused",
        twice(R, reply(f"{HOUR}, must-revalidate")),
    ),
    Case(
        "9111 5.2.2.2",
        MUST,
        "must-revalidate past its lifetime is validated",
        twice(V, reply(f"{HOUR}, must-revalidate", age="7200", etag='"1"')),
    ),
    Case(
        "9111 5.2.2.6",
        MUST,
        "no-transform is passed on",
        (
            Step(F, reply(f"no-transform, {HOUR}"), has={"cache-control": f"no-transform, {HOUR}"}),
            Step(R, has={"cache-control": f"no-transform, {HOUR}"}),
        ),
    ),
    Case("8246 2", SHOULD, "immutable while fresh is reused", twice(R, reply(f"{HOUR}, immutable"))),
    Case(
        "8246 2",
        MUST,
        "immutable past its lifetime is validated",
        twice(V, reply(f"{HOUR}, immutable", age="7200", etag='"1"')),
    ),
    Case(
        "8246 2",
        FREE,
        "a client's no-cache validates what is immutable",
        (
            Step(F, reply(f"{HOUR}, immutable", etag='"1"')),
            Step(V, asks=asks(cache_control="no-cache")),
        ),
    ),
    Case("9111 5.4", SHOULD, "Pragma in a response means nothing", twice(R, reply(HOUR, pragma="no-cache"))),
    Case(
        "9111 5.4",
        SHOULD,
        "nor where the lifetime is heuristic",
        twice(R, reply(pragma="no-cache", last_modified=At(-864_000))),
    ),
    Case(
        "9111 5.2.2.5",
        FREE,
        "a newer answer with no-store drops the older one",
        (
            Step(F, reply(HOUR, age="7200", etag='"1"')),
            Step(F, Reply((("cache-control", "no-store"), ("etag", '"2"')), validates=False)),
            Step(F, has={"answer-number": "2"}),
        ),
    ),
    Case(
        "9111 5.2.2.3",
        SHOULD,
        "must-understand lifts no-store of a status that is understood",
        twice(R, reply(f"{HOUR}, no-store, must-understand", status=404)),
    ),
    Case(
        "9111 5.2.2.3",
        MUST,
        "and not of another",
        twice(F, reply(f"{HOUR}, no-store, must-understand", status=599)),
    ),
]
REQUESTS = [
    Case(
        "9111 5.2.1.1",
        SHOULD,
        "max-age=0 validates what is fresh",
        (Step(F, reply(HOUR, etag='"1"')), Step(V, asks=asks(cache_control="max-age=0"))),
    ),
    Case(
        "9111 5.2.1.1",
        SHOULD,
        "max-age takes what is young enough",
        (Step(F, reply(HOUR, age="10")), Step(R, asks=asks(cache_control="max-age=1000"))),
    ),
    Case(
        "9111 5.2.1.1",
        SHOULD,
        "max-age does not take what is older",
        (Step(F, reply(HOUR, age="1800")), Step(F, asks=asks(cache_control="max-age=600"))),
    ),
    Case(
        "9111 5.2.1.2",
        SHOULD,
        "max-stale takes what is stale by less",
        (Step(F, reply("max-age=1800", age="1900")), Step(R, asks=asks(cache_control="max-stale=1000"))),
    ),
    Case(
        "9111 5.2.1.2",
        SHOULD,
        "max-stale does not take what is stale by more",
        (Step(F, reply("max-age=1800", age="3000")), Step(F, asks=asks(cache_control="max-stale=1000"))),
    ),
    Case(
        "9111 5.2.1.3",
        SHOULD,
        "min-fresh takes what stays fresh",
        (Step(F, reply(HOUR, age="100")), Step(R, asks=asks(cache_control="min-fresh=1000"))),
    ),
    Case(
        "9111 5.2.1.3",
        SHOULD,
        "min-fresh does not take the rest",
        (Step(F, reply(HOUR, age="3000")), Step(F, asks=asks(cache_control="min-fresh=1000"))),
    ),
    Case(
        "9111 5.2.1.4",
        MUST,
        "no-cache validates by Last-Modified",
        (
            Step(F, reply(HOUR, last_modified=At(-9000))),
            Step(V, asks=asks(cache_control="no-cache"), sends={"if-modified-since": At(-9000)}),
        ),
    ),
    Case(
        "9111 5.2.1.4",
        MUST,
        "no-cache on a second line counts",
        (
            Step(F, reply(HOUR)),
            Step(F, asks=(("cache-control", "max-age=99999"), ("cache-control", "no-cache"))),
        ),
    ),
    Case(
        "9111 5.2.1.5",
        FREE,
        "no-store is answered from what is stored",
        (Step(F, reply(HOUR)), Step(R, asks=asks(cache_control="no-store"))),
    ),
    Case(
        "9111 5.2.1.7",
        SHOULD,
        "only-if-cached of what is not stored is a 504",
        (Step(Outcome.REFUSED, reply(HOUR), asks(cache_control="only-if-cached"), status=504),),
    ),
    Case(
        "9111 5.2.1.7",
        SHOULD,
        "only-if-cached of what is stale is a 504",
        (
            Step(F, reply(HOUR, age="7200")),
            Step(Outcome.REFUSED, asks=asks(cache_control="only-if-cached"), status=504),
        ),
    ),
    Case(
        "9111 5.2.1.1",
        FREE,
        "a max-age that is no number is ignored",
        (Step(F, reply(HOUR)), Step(R, asks=asks(cache_control="max-age=x"))),
    ),
    Case(
        "9111 5.2.1",
        SHOULD,
        "a directive of responses means nothing in a request",
        (Step(F, reply(HOUR)), Step(R, asks=asks(cache_control="private, must-revalidate, s-maxage=0"))),
    ),
    Case(
        "9111 5.4",
        SHOULD,
        "Pragma: no-cache asks the origin",
        (Step(F, reply(HOUR)), Step(F, asks=asks(pragma="no-cache"))),
    ),
    Case(
        "9111 5.4", SHOULD, "another Pragma does not", (Step(F, reply(HOUR)), Step(R, asks=asks(pragma="x")))
    ),
]
AUTHORIZATION = [
    Case(
        "9111 3.5",
        MUST,
        "what credentials were sent for is not for one without",
        (Step(F, reply(HOUR), asks(authorization="Basic a")), Step(F)),
    ),
    Case(
        "9111 3.5",
        MUST,
        "nor for other credentials",
        (Step(F, reply(HOUR), asks(authorization="Basic a")), Step(F, asks=asks(authorization="Basic b"))),
    ),
    Case(
        "9111 3.5",
        SHOULD,
        "public makes it so for all",
        (
            Step(F, reply(f"public, {HOUR}"), asks(authorization="Basic a")),
            Step(R, asks=asks(authorization="Basic b")),
            Step(R),
        ),
    ),
    Case(
        "9111 3.5",
        MUST,
        "must-revalidate too, and it is validated when stale",
        (
            Step(F, reply(f"must-revalidate, {HOUR}", age="7200", etag='"1"'), asks(authorization="Basic a")),
            Step(V, asks=asks(authorization="Basic b"), sends={"authorization": "Basic b"}),
        ),
    ),
    Case(
        "9111 3.5",
        MUST,
        "Expires alone does not",
        (Step(F, reply(expires=At(3600)), asks(authorization="Basic a")), Step(F)),
    ),
    Case(
        "9111 3.5",
        MUST,
        "nor a lifetime that is heuristic",
        (Step(F, reply(last_modified=At(-864_000)), asks(authorization="Basic a")), Step(F)),
    ),
    Case(
        "9111 3.5",
        MUST,
        "a quoted public does not",
        (Step(F, reply(f'x="public", {HOUR}'), asks(authorization="Basic a")), Step(F)),
    ),
    Case(
        "9111 3.5",
        FREE,
        "what was stored without credentials is reused with them",
        (Step(F, reply(HOUR)), Step(R, asks=asks(authorization="Basic a"))),
    ),
    Case(
        "9213 2.2",
        MUST,
        "CDN-Cache-Control says it in its own words",
        (Step(F, reply("public", cdn_cache_control=HOUR), asks(authorization="Basic a")), Step(F)),
    ),
    Case(
        "9111 7.3",
        SHOULD,
        "a response that sets a cookie is not shared",
        twice(F, reply(f"public, {HOUR}", set_cookie="a=b")),
    ),
    Case(
        "9111 4.1",
        SHOULD,
        "a request with cookies is answered from the store",
        (Step(F, reply(HOUR)), Step(R, asks=asks(cookie="a=b"))),
    ),
]
