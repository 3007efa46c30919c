"""The origin's answers: validators, ranges, and nothing from outside its directory."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.app import OriginApp
from origin.conditions import Unsatisfiable, wanted_range

CONTENT = bytes(range(256)) * 40


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path / "served"
    (root / "sub").mkdir(parents=True)
    (root / "file.bin").write_bytes(CONTENT)
    (root / "empty").touch()
    (tmp_path / "secret").write_text("not yours")
    (root / "way-out").symlink_to(tmp_path / "secret")
    (root / "way-in").symlink_to(root / "file.bin")
    os.mkfifo(root / "pipe")
    transport = httpx.ASGITransport(OriginApp(root, 60))
    async with httpx.AsyncClient(transport=transport, base_url="http://origin") as made:
        yield made


async def test_a_file_comes_with_its_validators(client: httpx.AsyncClient) -> None:
    answer = await client.get("/file.bin")
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["cache-control"] == "public, max-age=60"
    head = await client.head("/file.bin")
    assert head.content == b""
    assert head.headers["content-length"] == str(len(CONTENT))
    again = await client.get("/file.bin", headers={"if-none-match": f'"other", {answer.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    since = {"if-modified-since": answer.headers["last-modified"]}
    assert (await client.get("/file.bin", headers=since)).status_code == 304
    both = since | {"if-none-match": '"other"'}
    assert (await client.get("/file.bin", headers=both)).status_code == 200


async def test_a_changed_file_has_another_tag(client: httpx.AsyncClient, tmp_path: Path) -> None:
    before = (await client.get("/file.bin")).headers["etag"]
    (tmp_path / "served" / "file.bin").write_bytes(CONTENT[::-1])
    after = await client.get("/file.bin", headers={"if-none-match": before})
    assert after.status_code == 200
    assert after.content == CONTENT[::-1]


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-0", 206, CONTENT[:1]),
        ("bytes=10-19", 206, CONTENT[10:20]),
        ("bytes=-7", 206, CONTENT[-7:]),
        ("bytes=10000-", 206, CONTENT[10000:]),
        ("bytes=10-999999", 206, CONTENT[10:]),
        ("bytes=-999999", 206, CONTENT),
        ("bytes=999999-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=5-2", 200, CONTENT),
        ("bytes=0-1,4-5", 200, CONTENT),
        ("lines=1-2", 200, CONTENT),
        ("bytes=x-y", 200, CONTENT),
        ("bytes=" + "9" * 5000 + "-", 416, None),
    ],
)
async def test_ranges(client: httpx.AsyncClient, asked: str, status: int, part: bytes | None) -> None:
    answer = await client.get("/file.bin", headers={"range": asked})
    assert answer.status_code == status
    if part is not None:
        assert answer.content == part
    else:
        assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


async def test_a_range_holds_only_while_its_condition_does(client: httpx.AsyncClient) -> None:
    etag = (await client.get("/file.bin")).headers["etag"]
    for condition, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200)):
        answer = await client.get("/file.bin", headers={"range": "bytes=0-1", "if-range": condition})
        assert answer.status_code == status


@given(size=st.integers(0, 1000), first=st.integers(0, 1200), last=st.integers(0, 1200))
def test_a_range_is_the_slice_that_it_says(size: int, first: int, last: int) -> None:
    whole = range(size)
    try:
        part = wanted_range({b"range": f"bytes={first}-{last}".encode()}, size, '"t"', 0.0)
    except Unsatisfiable:
        assert first >= size
        return
    if part is None:
        assert last < first
    else:
        assert whole[part.first : part.last + 1] == whole[first : last + 1]


@pytest.mark.parametrize(
    "target",
    [
        "/../secret",
        "/%2e%2e/secret",
        "/sub/..%2f..%2fsecret",
        "/way-out",
        "/missing",
        "/sub",
        "/",
        "/pipe",
        "/%00",
        "/" + "a" * 3000,
        "//etc/passwd",
    ],
)
async def test_nothing_else_is_served(client: httpx.AsyncClient, target: str) -> None:
    answer = await client.get("http://origin" + target)
    assert answer.status_code == 404
    assert b"not yours" not in answer.content


async def test_a_link_within_is_followed_and_an_empty_file_is_a_file(client: httpx.AsyncClient) -> None:
    assert (await client.get("/way-in")).content == CONTENT
    empty = await client.get("/empty")
    assert (empty.status_code, empty.content) == (200, b"")
    assert (await client.post("/file.bin")).status_code == 405


async def test_responses_carry_the_tags_of_their_rule(tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("hello")
    transport = httpx.ASGITransport(OriginApp(tmp_path, 60, tags="*.txt=texts, all; *=all"))
    async with httpx.AsyncClient(transport=transport, base_url="http://origin") as client:
        assert (await client.get("/hello.txt")).headers["cache-tag"] == "texts, all"
