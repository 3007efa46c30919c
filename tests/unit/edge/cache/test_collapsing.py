"""Two clients at once: the second is given what the first fetched only where the store's rules would give it."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cdn import NOW, Cdn, cdn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_server import Asked, ScriptedServer, answer
from served_cache import served

from edge.cache.rules.reuse import Reuse, decide_reuse
from edge.cache.rules.stored_response import StoredResponse
from edge.cache.rules.storing import storage_obstacle
from edge.cache.rules.variants import variant_matches, variant_of
from edge.http.fields import Pairs, combine_fields

FRESH = ("cache-control", "max-age=60")
ETAG = ("etag", '"page"')

# responses that may be stored, or look as if, and that no second request may be given unvalidated
OF_ONE_REQUEST: dict[str, Pairs] = {
    "an ETag and no Cache-Control": [ETAG],
    "Last-Modified now": [("last-modified", "Fri, 15 Jan 2027 08:00:00 GMT")],
    "no-cache": [("cache-control", "no-cache"), ETAG],
    "no-cache beside max-age": [("cache-control", "no-cache, max-age=60"), ETAG],
    "max-age=0, must-revalidate": [("cache-control", "max-age=0, must-revalidate"), ETAG],
    "s-maxage=0": [("cache-control", "s-maxage=0, max-age=60"), ETAG],
    "Expires: 0": [("expires", "0"), ETAG],
    "stale-while-revalidate alone": [("cache-control", "max-age=0, stale-while-revalidate=60"), ETAG],
    "an Age beyond its lifetime": [FRESH, ("age", "61"), ETAG],
    "Set-Cookie": [FRESH, ("set-cookie", "session=1")],
    "private": [("cache-control", "private, max-age=60")],
    "no-store": [("cache-control", "no-store")],
    "Vary: *": [FRESH, ("vary", "*")],
}


class Held:
    """An origin that answers nothing before `gate` is set; each answer's body is its own."""

    def __init__(self, it: Cdn, headers: Pairs, status: int = 200) -> None:
        self.gate = asyncio.Event()
        self.asked: list[httpx.Request] = []
        self._headers, self._status = headers, status
        self._error: Exception | None = None
        it.origin.handle_async_request = self._answer  # type: ignore[method-assign]

    def fail_with(self, error: Exception) -> None:
        self._error = error

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        body = f"answer {len(self.asked)} for {request.headers.get('cookie')}"
        await self.gate.wait()
        if self._error is not None:
            raise self._error
        if request.headers.get("if-none-match") == dict(self._headers).get("etag", "none"):
            return httpx.Response(304, headers=self._headers)
        headers = [*self._headers, ("content-length", str(len(body)))]
        return httpx.Response(self._status, headers=headers, stream=httpx.ByteStream(body.encode()))


async def settle_loop() -> None:
    """Let every task go on until each waits for something outside."""
    for _ in range(100):
        await asyncio.sleep(0)


async def two_at_once(
    it: Cdn, origin: Held, first: dict[str, str], second: dict[str, str]
) -> tuple[httpx.Response, httpx.Response]:
    """The second request comes while the origin has not answered the first."""
    leads = asyncio.create_task(it.get(**first))
    async with asyncio.timeout(5):
        while not origin.asked:
            await asyncio.sleep(0)
    follows = asyncio.create_task(it.get(**second))
    await settle_loop()
    origin.gate.set()
    return await leads, await follows


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Cdn]:
    async with cdn(tmp_path / "cache") as made:
        yield made


@pytest.mark.parametrize("headers", OF_ONE_REQUEST.values(), ids=OF_ONE_REQUEST)
async def test_each_client_is_given_a_response_of_its_own(it: Cdn, headers: Pairs) -> None:
    origin = Held(it, headers)
    one, other = await two_at_once(it, origin, {"cookie": "alice"}, {"cookie": "bob"})
    assert (one.text, other.text) == ("answer 1 for alice", "answer 2 for bob")
    assert "collapsed" not in other.headers["cache-status"]


@pytest.mark.parametrize("headers", OF_ONE_REQUEST.values(), ids=OF_ONE_REQUEST)
async def test_many_clients_do_not_wait_in_turn_for_heads_that_never_suit(it: Cdn, headers: Pairs) -> None:
    origin = Held(it, headers)
    asking = [asyncio.create_task(it.get(cookie=f"user {n}")) for n in range(20)]
    await settle_loop()
    origin.gate.set()
    async with asyncio.timeout(5):
        while not any(task.done() for task in asking):
            await asyncio.sleep(0)
        origin.gate.clear()  # who waits behind another's second answer now waits in vain
        while len(origin.asked) < 20:
            await asyncio.sleep(0)
    assert not it.proxy.fetches.may_share("cdn /a")
    origin.gate.set()
    answers = await asyncio.gather(*asking)
    assert sorted(answer.text.split(" for ")[1] for answer in answers) == sorted(
        f"user {n}" for n in range(20)
    )


@pytest.mark.parametrize("control", ["max-age=60", "public, max-age=60", "s-maxage=60", "private"])
async def test_no_request_waits_for_an_authorized_one(it: Cdn, control: str) -> None:
    origin = Held(it, [("cache-control", control)])
    leads = asyncio.create_task(it.get(authorization="Bearer alice", cookie="alice"))
    follows = asyncio.create_task(it.get(cookie="bob"))
    await settle_loop()
    assert len(origin.asked) == 2  # before any head is there
    origin.gate.set()
    assert (await leads).text == "answer 1 for alice"
    assert (await follows).text == "answer 2 for bob"


@pytest.mark.parametrize(
    ("control", "shared"), [("max-age=60", False), ("public, max-age=60", True), ("s-maxage=60", True)]
)
async def test_an_authorized_answer_that_arrives_is_shared_only_where_it_says_so(
    it: Cdn, control: str, shared: bool
) -> None:
    it.origin.headers = [("cache-control", control), ("content-length", "4")]
    it.origin.parts, it.origin.gate = [b"bo", b"dy"], asyncio.Event()
    leads = asyncio.create_task(it.get(authorization="Bearer alice"))
    await settle_loop()  # the head is there, the body's end is not
    follows = asyncio.create_task(it.get())
    await settle_loop()
    assert len(it.origin.asked) == (1 if shared else 2)
    it.origin.gate.set()
    assert [answer.content for answer in (await leads, await follows)] == [b"body", b"body"]


async def test_an_authorized_request_follows_no_other(it: Cdn) -> None:
    origin = Held(it, [("cache-control", "public, max-age=60")])
    _, other = await two_at_once(it, origin, {}, {"authorization": "Bearer alice", "cookie": "alice"})
    assert other.text == "answer 2 for alice"


async def test_a_failure_of_an_authorized_request_is_its_own(it: Cdn) -> None:
    origin = Held(it, [FRESH])
    origin.fail_with(httpx.ConnectError("away"))
    answers = await two_at_once(it, origin, {"authorization": "Bearer alice"}, {})
    assert [answer.status_code for answer in answers] == [502, 502]
    assert len(origin.asked) == 2


async def test_a_failure_of_the_origin_answers_all_who_wait(it: Cdn) -> None:
    origin = Held(it, [FRESH])
    origin.fail_with(httpx.ConnectError("away"))
    answers = await two_at_once(it, origin, {}, {})
    assert [answer.status_code for answer in answers] == [502, 502]
    assert len(origin.asked) == 1


@pytest.mark.parametrize("wish", ["no-cache", "max-age=0"])
async def test_a_client_that_insists_waits_for_no_other(it: Cdn, wish: str) -> None:
    origin = Held(it, [FRESH])
    asking = [asyncio.create_task(it.get()), asyncio.create_task(it.get(cache_control=wish))]
    await settle_loop()
    assert len(origin.asked) == 2
    origin.gate.set()
    await asyncio.gather(*asking)


async def stored(it: Cdn, headers: Pairs) -> Held:
    it.origin.headers = headers
    await it.get()
    await it.settled()
    it.clock.now += 61
    return Held(it, headers)


async def test_each_client_validates_what_may_not_be_used_unvalidated(it: Cdn) -> None:
    origin = await stored(it, [("cache-control", "no-cache"), ETAG])
    answers = await two_at_once(it, origin, {}, {})
    assert [answer.text for answer in answers] == ["body", "body"]
    assert [request.headers.get("if-none-match") for request in origin.asked] == ['"page"', '"page"']


async def test_one_confirmation_answers_all_where_it_makes_the_response_fresh(it: Cdn) -> None:
    origin = await stored(it, [FRESH, ETAG])
    answers = await two_at_once(it, origin, {}, {})
    assert [answer.text for answer in answers] == ["body", "body"]
    assert len(origin.asked) == 1


@pytest.mark.parametrize("asks", [{"authorization": "Bearer alice"}, {"cache_control": "no-store"}])
async def test_a_confirmation_for_one_client_renews_nothing_for_the_others(
    it: Cdn, asks: dict[str, str]
) -> None:
    origin = await stored(it, [FRESH, ETAG])
    answers = await two_at_once(it, origin, asks, {})
    assert [answer.text for answer in answers] == ["body", "body"]
    assert len(origin.asked) == 2


async def test_stale_while_revalidate_asks_once_although_no_request_may_wait(it: Cdn) -> None:
    origin = await stored(it, [("cache-control", "max-age=0, stale-while-revalidate=600"), ETAG])
    for _ in range(5):
        assert (await it.get()).text == "body"
    await settle_loop()
    assert len(origin.asked) == 1
    origin.gate.set()
    await it.settled()


async def test_workers_do_not_wait_in_turn_for_what_is_for_one_request(tmp_path: Path) -> None:
    async with cdn(tmp_path) as one, cdn(tmp_path) as two, cdn(tmp_path) as three:
        origins = [Held(it, [("cache-control", "no-cache"), ETAG]) for it in (one, two, three)]
        asking = [asyncio.create_task(it.get(cookie=str(n))) for n, it in enumerate((one, two, three))]
        await settle_loop()
        assert [len(origin.asked) for origin in origins] == [1, 0, 0]
        origins[0].gate.set()
        async with asyncio.timeout(5):
            while not all(origin.asked for origin in origins):  # none waits for another that is still asking
                await asyncio.sleep(0.001)
        for origin in origins:
            origin.gate.set()
        assert [(await task).text for task in asking] == [f"answer 1 for {n}" for n in range(3)]


async def test_a_response_asked_for_as_the_first_answer_ends_is_validated(tmp_path: Path) -> None:
    numbers = itertools.count(1)

    def script(asked: Asked) -> list[bytes]:
        return [answer(f"{next(numbers)}", "cache-control: no-cache", f'etag: "x{len(origin.asked)}"')]

    origin = ScriptedServer(script)
    async with served(tmp_path, origin) as (it,):
        for number in range(60):
            first = await it.get(f"/{number}")
            second = await it.get(f"/{number}")
            assert int(second.text) == int(first.text) + 1
    assert len(origin.asked) == 120


# --- whatever the response and the requests: never more than the store would give

CONTROL = st.lists(
    st.sampled_from(
        ["public", "private", "no-store", "no-cache", "must-revalidate", "proxy-revalidate", "max-age=0", "max-age=60",
         "s-maxage=0", "s-maxage=60", "stale-while-revalidate=60", "stale-if-error=60", "must-understand", "immutable"]
    ),
    max_size=3,
)  # fmt: skip
RESPONSES = st.fixed_dictionaries(
    {},
    optional={
        "cache-control": CONTROL.map(", ".join),
        "expires": st.sampled_from(["0", "-1", "Fri, 15 Jan 2027 09:00:00 GMT", "Fri, 15 Jan 2027 07:00:00 GMT"]),
        "etag": st.just('"page"'),
        "last-modified": st.just("Mon, 01 Jan 2018 00:00:00 GMT"),
        "age": st.sampled_from(["0", "59", "61"]),
        "vary": st.sampled_from(["*", "cookie", "accept-language", "cookie, accept-language"]),
        "set-cookie": st.just("session=1"),
    },
)  # fmt: skip
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "authorization": st.just("Bearer token"),
        "cookie": st.sampled_from(["alice", "bob"]),
        "accept-language": st.sampled_from(["de", "fr"]),
        "cache-control": st.sampled_from(
            ["no-cache", "no-store", "max-age=0", "max-age=30", "min-fresh=30", "max-stale", "max-stale=30"]
        ),
    },
)
STATUSES = st.sampled_from([200, 204, 301, 302, 404, 500, 503])


def may_follow(status: int, headers: Pairs, first: dict[str, str], second: dict[str, str]) -> bool:
    """Whether the store would serve the second request what the first one fetched at the same moment."""
    fields = combine_fields(headers)
    if storage_obstacle("GET", first, status, fields) is not None:
        return False
    variant = variant_of(fields.get("vary", ""), first)
    entry = StoredResponse("cdn /a", variant, status, headers, requested_at=NOW, received_at=NOW, size=1)
    return variant_matches(variant, second) and decide_reuse(entry, second, NOW).reuse is Reuse.SERVE


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STATUSES, RESPONSES, REQUESTS, REQUESTS)
def test_a_follower_is_given_nothing_that_the_store_would_not_serve(
    status: int, fields: dict[str, str], first: dict[str, str], second: dict[str, str]
) -> None:
    async def play() -> tuple[int, bool]:
        with tempfile.TemporaryDirectory() as folder:
            async with cdn(Path(folder)) as it:
                origin = Held(it, list(fields.items()), status)
                _, follower = await two_at_once(it, origin, first, second)
                return len(origin.asked), "collapsed" in follower.headers["cache-status"]

    asked, collapsed = asyncio.run(play())
    assert collapsed == (asked == 1)
    if collapsed:
        assert may_follow(status, list(fields.items()), first, second)
