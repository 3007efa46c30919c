"""CDN-Cache-Control: directives for this cache in place of Cache-Control and Expires (RFC 9213)."""

from cache_cases.case import At, Case, Level, Outcome, Reply, Step, Value, reply, twice

F, R, V = Outcome.FORWARDED, Outcome.REUSED, Outcome.VALIDATED
MUST, SHOULD, FREE = Level.MUST, Level.SHOULD, Level.FREE


def _said(
    text: str,
    level: Level,
    outcome: Outcome,
    targeted: str | tuple[str, ...],
    control: str | None = None,
    **more: Value,
) -> Case:
    lines = (targeted,) if isinstance(targeted, str) else targeted
    fields: list[tuple[str, Value | None]] = [("cdn-cache-control", line) for line in lines]
    if control is not None:
        fields.append(("cache-control", control))
    fields += [(name.replace("_", "-"), value) for name, value in more.items()]
    return Case("9213 2", level, text, twice(outcome, Reply(tuple(fields))))


CASES = [
    _said("its max-age is a lifetime", SHOULD, R, "max-age=3600"),
    *(
        _said(f"its max-age may be {number}", SHOULD, R, f"max-age={number}")
        for number in ("2147483647", "2147483648", "99999999999")
    ),
    _said("its max-age=0 is stale", MUST, F, "max-age=0"),
    _said("an Age above its max-age is stale", MUST, F, "max-age=3600", age="7200"),
    _said("a long one outweighs a short max-age", SHOULD, R, "max-age=3600", "max-age=1", age="100"),
    _said("a short one outweighs a long max-age", MUST, F, "max-age=1", "max-age=3600", age="100"),
    _said("it outweighs no-store", SHOULD, R, "max-age=3600", "no-store"),
    _said("it outweighs private", SHOULD, R, "max-age=3600", "private"),
    _said("it outweighs s-maxage", MUST, F, "max-age=0", "s-maxage=3600"),
    _said("it outweighs a past Expires", SHOULD, R, "max-age=3600", expires=At(-3600)),
    _said("it outweighs an Expires that is no date", SHOULD, R, "max-age=3600", expires="0"),
    _said("it outweighs a future Expires", MUST, F, "max-age=0", expires=At(3600)),
    _said("its no-store is kept", MUST, F, "no-store", "max-age=3600", expires=At(3600)),
    _said("its private is kept", MUST, F, "private", "max-age=3600", expires=At(3600)),
    _said("its no-cache is kept", MUST, V, "no-cache", "max-age=3600", expires=At(3600), etag='"1"'),
    _said(
        "its must-revalidate is kept",
        MUST,
        V,
        "max-age=1, must-revalidate, stale-while-revalidate=999",
        "max-age=3600",
        age="100",
        etag='"1"',
    ),
    _said(
        "its stale-while-revalidate does not count for Cache-Control",
        MUST,
        F,
        "max-age=1",
        "max-age=1, stale-while-revalidate=999",
        age="100",
    ),
    _said("an unknown directive changes nothing", SHOULD, R, "max-age=3600, x=y"),
    _said("two lines are one dictionary", MUST, F, ("max-age=3600", "no-store"), "max-age=3600"),
    _said("of a name that comes twice the last counts", MUST, F, "max-age=3600, max-age=0", "max-age=3600"),
    _said("a boolean that is false does not count", MUST, R, "max-age=3600, no-store=?0"),
    _said("parameters of a directive are ignored", SHOULD, R, "max-age=3600;a=b", "no-store"),
    _said(
        "an invalid one is ignored: white space before the equals sign", MUST, R, "max-age =0", "max-age=3600"
    ),
    _said("an invalid one is ignored: white space behind it", MUST, R, "max-age= 0", "max-age=3600"),
    _said("an invalid one is ignored: a capital letter", MUST, R, "Max-Age=0", "max-age=3600"),
    _said("an invalid one is ignored: a comma at its end", MUST, R, "max-age=0,", "max-age=3600"),
    _said("an invalid one is ignored: an unknown type", MUST, R, "max-age=&0", "max-age=3600"),
    _said("an empty one is ignored", MUST, R, "", "max-age=3600"),
    Case(
        "9213 2.2",
        SHOULD,
        "it is not for clients",
        (
            Step(
                F,
                reply("max-age=60", cdn_cache_control="max-age=3600"),
                has={"cdn-cache-control": None, "cache-control": "max-age=60"},
            ),
            Step(R, has={"cdn-cache-control": None, "cache-control": "max-age=60"}),
        ),
    ),
    Case(
        "9213 2.2",
        SHOULD,
        "Age, Date and Expires are shown beside it",
        (
            Step(F, reply("max-age=60", cdn_cache_control="max-age=3600", expires=At(60), date=At(-100))),
            Step(R, has={"age": ..., "date": At(-100), "expires": At(60)}),
        ),
    ),
    Case(
        "9213 2",
        FREE,
        "Surrogate-Control does not count, and is not for clients",
        (
            Step(F, reply("max-age=3600", surrogate_control="no-store"), has={"surrogate-control": None}),
            Step(R, has={"surrogate-control": None}),
        ),
    ),
    Case(
        "9213 2",
        FREE,
        "nor does a field for another CDN",
        twice(R, reply("max-age=3600", other_cdn_cache_control="no-store")),
    ),
]
