"""What is stored is compressed once a coding, for those who accept it, and never twice."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from cdn import Cdn, cdn
from hypothesis import given
from hypothesis import strategies as st
from one_service import put_in_force

from edge.cache.storage.purge_scope import PurgeScope
from edge.services.transforms.content_coding import ContentCodings, compress_body
from services.transforms import Coding, Compression

TEXT = b"the same words again and again. " * 200
LARGE = TEXT * 40
NOISE = hashlib.sha512(b"noise").digest()
DECODE: dict[str, Callable[[bytes], bytes]] = {
    "br": brotli.decompress,
    "zstd": zstandard.decompress,
    "gzip": gzip.decompress,
    "identity": bytes,
}


async def get(it: Cdn, accept: str | None = None, path: str = "/a", **fields: str) -> tuple[Any, bytes]:
    """Return a response and its body as it was sent."""
    headers = {"accept-encoding": accept} if accept is not None else {}
    async with it.client.stream(
        "GET", path, headers={**headers, **{k.replace("_", "-"): v for k, v in fields.items()}}
    ) as found:
        body = b"".join([part async for part in found.aiter_raw()])
    await it.settled()
    return found, body


def fast(it: Cdn, accept: str, path: str = "/a") -> tuple[list[str], bytes] | None:
    request = f"GET {path} HTTP/1.1\r\nHost: cdn\r\nAccept-Encoding: {accept}\r\n\r\n"
    answer = it.fast(request.encode())
    if answer is None:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return sorted(line for line in head.decode().split("\r\n")[1:] if "x-request-id" not in line), body


@pytest.fixture
async def it(tmp_path: Path) -> Any:
    async with cdn(tmp_path, {"compression": {}}) as made:
        made.origin.body = TEXT
        made.origin.headers = [
            ("cache-control", "max-age=600"),
            ("content-type", "text/html; charset=utf-8"),
            ("etag", '"1"'),
        ]
        yield made


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
@pytest.mark.parametrize("body", [TEXT, LARGE])
async def test_a_stored_response_is_compressed_once(it: Cdn, coding: str, body: bytes) -> None:
    it.origin.body = body
    first, whole = await get(it, coding)
    assert whole == body
    assert "content-encoding" not in first.headers
    assert first.headers["vary"] == "accept-encoding"
    await get(it, coding)
    found, coded = await get(it, coding)
    assert found.headers["content-encoding"] == coding
    assert found.headers["vary"] == "accept-encoding"
    assert found.headers["etag"] == f'W/"1-{coding}"'
    assert int(found.headers["content-length"]) == len(coded) < len(body)
    assert DECODE[coding](coded) == body
    assert len(it.origin.asked) == 1
    general = sorted(
        f"{name}: {value}" for name, value in found.headers.multi_items() if name != "x-request-id"
    )
    assert fast(it, coding) == (general, coded)


async def test_everybody_else_gets_what_the_origin_sent(it: Cdn) -> None:
    await get(it, "br")
    await get(it, "br")
    for accept in (None, "identity", "br;q=0", "compress", "br;q=0.2, identity;q=0.9"):
        found, body = await get(it, accept)
        assert body == TEXT
        assert "content-encoding" not in found.headers
        assert found.headers["vary"] == "accept-encoding"
        assert found.headers["etag"] == '"1"'
    plain = fast(it, "identity")
    assert plain is not None
    assert plain[1] == TEXT
    assert "vary: accept-encoding" in plain[0]


async def test_a_validator_is_of_one_coding(it: Cdn) -> None:
    for _ in range(2):
        found, _ = await get(it, "gzip")
    tag = found.headers["etag"]
    same, _ = await get(it, "gzip", if_none_match=tag)
    assert (same.status_code, same.headers["etag"], same.headers["vary"]) == (304, tag, "accept-encoding")
    assert (await get(it, "gzip", if_none_match='"1"'))[0].status_code == 200
    assert (await get(it, "identity", if_none_match=tag))[0].status_code == 200
    assert (await get(it, "identity", if_none_match='"1"'))[0].status_code == 304


async def test_a_range_is_of_the_body_as_the_origin_sent_it(it: Cdn) -> None:
    for _ in range(2):
        await get(it, "gzip")
    part, body = await get(it, "gzip", range="bytes=4-7")
    assert part.status_code == 206
    assert body == TEXT[4:8]
    assert "content-encoding" not in part.headers
    assert part.headers["content-range"] == f"bytes 4-7/{len(TEXT)}"
    assert part.headers["vary"] == "accept-encoding"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([("content-type", "text/css"), ("content-encoding", "gzip")], gzip.compress(TEXT)),
        ([("content-type", "image/png")], TEXT),
        ([], TEXT),
        ([("content-type", "text/css"), ("cache-control", "max-age=600, no-transform")], TEXT),
        ([("content-type", "text/css")], b"short"),
        ([("content-type", "text/css"), ("cache-control", "private")], TEXT),
        ([("content-type", "text/css"), ("set-cookie", "a=1")], TEXT),
        ([("content-type", "text/css"), ("cache-control", "no-store")], TEXT),
    ],
)
async def test_what_is_not_for_all_or_not_text_is_left_alone(
    it: Cdn, headers: list[tuple[str, str]], body: bytes
) -> None:
    it.origin.headers = [
        *([] if "cache-control" in dict(headers) else [("cache-control", "max-age=600")]),
        *headers,
    ]
    it.origin.body = body
    for _ in range(3):
        found, sent = await get(it, "br, gzip")
        assert sent == body
        assert found.headers.get("content-encoding") == dict(headers).get("content-encoding")


async def test_a_body_that_does_not_shrink_is_sent_as_it_is(tmp_path: Path) -> None:
    async with cdn(tmp_path, {"compression": {"minimum_bytes": 0}}) as it:
        it.origin.headers = [("cache-control", "max-age=600"), ("content-type", "text/plain")]
        it.origin.body = NOISE
        for _ in range(3):
            found, body = await get(it, "br")
            assert body == NOISE
            assert "content-encoding" not in found.headers
        assert fast(it, "br") is not None


async def test_digests_of_the_body_are_not_of_the_compressed_one(it: Cdn) -> None:
    it.origin.headers += [("repr-digest", "sha-256=:AAAA:"), ("content-md5", "x")]
    for _ in range(2):
        found, _ = await get(it, "br")
    assert "content-encoding" in found.headers
    assert "repr-digest" not in found.headers
    assert "content-md5" not in found.headers
    assert "repr-digest" in (await get(it))[0].headers


async def test_a_compressed_body_follows_its_source(it: Cdn) -> None:
    for _ in range(2):
        await get(it, "br")
    # validated: the same body, newer fields
    it.clock.now += 601
    it.origin.headers.append(("x-new", "1"))
    renewed, _ = await get(it, "br")
    assert renewed.headers["content-encoding"] == "br"
    assert renewed.headers["x-new"] == "1"
    # changed: the old body is never sent again
    it.clock.now += 601
    it.origin.body = TEXT.upper()
    it.origin.headers = [pair if pair[0] != "etag" else ("etag", '"2"') for pair in it.origin.headers]
    for _ in range(3):
        found, body = await get(it, "br")
        assert DECODE[found.headers.get("content-encoding", "identity")](body) == TEXT.upper()
    assert found.headers["content-encoding"] == "br"


@pytest.mark.parametrize("kind", ["url", "tag", "post"])
async def test_a_purge_takes_the_compressed_bodies_along(it: Cdn, kind: str) -> None:
    it.origin.headers.append(("cache-tag", "news"))
    for coding in ("br", "gzip", "br", "gzip", "br"):
        await get(it, coding)
    assert fast(it, "br") is not None
    if kind == "post":
        await it.client.post("/a")
    else:
        urls = (it.services.current.purged_key("https://cdn/a"),) if kind == "url" else ()
        await it.store.purge(1, PurgeScope(urls=urls, tags=("news",) if kind == "tag" else ()))
    assert fast(it, "br") is None
    assert it.store._reader.execute("SELECT count(*) FROM entry").fetchone()[0] == 0


async def test_an_evicted_body_is_made_again(it: Cdn) -> None:
    it.origin.body = LARGE
    for _ in range(3):
        found, _ = await get(it, "gzip")
    assert "content-encoding" in found.headers
    for file in it.store.folder.glob("*.body"):
        if file.stat().st_size < len(LARGE):
            file.unlink()
    it.store._memory.clear()
    for _ in range(2):
        found, body = await get(it, "gzip")
        assert DECODE[found.headers.get("content-encoding", "identity")](body) == LARGE


async def test_without_compression_nothing_varies(tmp_path: Path) -> None:
    async with cdn(tmp_path, {}) as it:
        it.origin.headers = [("cache-control", "max-age=600"), ("content-type", "text/html")]
        it.origin.body = TEXT
        for _ in range(2):
            found, _ = await get(it, "br")
            assert "vary" not in found.headers
        put_in_force(it.services, {"compression": {"codings": ["zstd"], "types": ["text/html"]}})
        await get(it, "br, zstd;q=0.1")
        found, _ = await get(it, "br, zstd;q=0.1")
        assert found.headers["content-encoding"] == "zstd"


WEIGHTS = st.sampled_from(["", ";q=0", ";q=0.5", ";q=1", ";q=x", "; q=0.001"])
MEMBERS = st.tuples(st.sampled_from(["br", "gzip", "x-gzip", "zstd", "identity", "*", "deflate"]), WEIGHTS)


@given(st.lists(MEMBERS.map("".join), max_size=5).map(", ".join))
def test_a_refused_coding_is_never_chosen(accept: str) -> None:
    chosen = ContentCodings(Compression()).choose_coding({"accept-encoding": accept})
    members = [member.replace(" ", "").replace("x-gzip", "gzip") for member in accept.split(",")]
    if chosen is not None:
        named = [member for member in members if member.split(";")[0] == chosen]
        assert named or any(member.startswith("*") for member in members)
        assert not named or named[-1] not in (f"{chosen};q=0", f"{chosen};q=x")


@given(st.binary(max_size=2000), st.sampled_from(list(Coding)))
def test_the_same_bytes_are_compressed_alike(data: bytes, coding: Coding) -> None:
    assert compress_body(data, coding) == compress_body(data, coding)
    assert DECODE[coding](compress_body(data, coding)) == data


async def test_a_soft_purge_makes_the_compressed_form_stale_too(it: Cdn) -> None:
    for _ in range(3):
        await get(it, "br")
    key = it.services.current.purged_key("https://cdn/a")
    await it.store.purge(1, PurgeScope(urls=(key,), soft_at=it.clock.now))
    assert fast(it, "br") is None
    for ttl in ("ttl=0", "ttl=600"):  # served stale, and validated meanwhile
        found, body = await get(it, "br")
        assert ttl in found.headers["cache-status"]
        assert found.headers["content-encoding"] == "br"
        assert DECODE["br"](body) == TEXT
    assert len(it.origin.asked) == 2
