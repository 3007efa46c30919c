"""The origin's answers: validators, ranges, and nothing from outside its directory."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from origin.app import OriginApp

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
    (root / "loop").symlink_to(root / "loop")
    (root / ".hidden").write_text("not yours")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("not yours")
    (root / "visible").symlink_to(root / ".hidden")
    (root / ".well-known").mkdir()
    (root / ".well-known" / "security.txt").write_text("contact")
    (root / "site").mkdir()
    (root / "site" / "index.html").write_text("<p>index")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "index.html").write_text("not yours")
    (root / "out").symlink_to(tmp_path / "outside")
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
        "/loop",
        "/loop/x",
        "/.hidden",
        "/%2ehidden",
        "/sub/../.hidden",
        "/.git/config",
        "/visible",
        "/out",
        "/out/",
        "/out/index.html",
        "/file.bin/",
        "/empty/",
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


@pytest.mark.parametrize(
    ("name", "media_type", "coding"),
    [
        ("a.txt", "text/plain", None),
        ("a.txt.gz", "text/plain", "gzip"),
        ("a.js.br", "text/javascript", "br"),
        ("a.tar.gz", "application/x-tar", "gzip"),
        ("a.gz", "application/octet-stream", "gzip"),
        ("a.unknown", "application/octet-stream", None),
    ],
)
async def test_the_name_says_media_type_and_content_coding(
    client: httpx.AsyncClient, tmp_path: Path, name: str, media_type: str, coding: str | None
) -> None:
    (tmp_path / "served" / name).touch()
    answer = await client.head(f"/{name}")
    assert answer.headers["content-type"] == media_type
    assert answer.headers.get("content-encoding") == coding


async def test_a_directory_is_its_index_page_under_the_name_with_a_slash(client: httpx.AsyncClient) -> None:
    answer = await client.get("/site/")
    assert (answer.status_code, answer.text) == (200, "<p>index")
    moved = await client.get("/site?a=b")
    assert (moved.status_code, moved.headers["location"]) == (301, "/site/?a=b")
    other = await client.get("http://origin//site")
    assert other.headers["location"] == "/site/"
    assert (await client.get("/.well-known/security.txt")).text == "contact"


async def test_rules_apply_to_the_file_that_is_served(tmp_path: Path) -> None:
    for name in ("private", "static"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "s.html").touch()
    (tmp_path / "static" / "link.html").symlink_to(tmp_path / "private" / "s.html")
    app = OriginApp(tmp_path, 60, "/private/*=no-store; /static/*=public")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://origin") as client:
        for target in (
            "/private/s.html",
            "/static/%2e%2e/private/s.html",
            "//private/s.html",
            "/%70rivate/s.html",
            "/static/link.html",
        ):
            answer = await client.get(f"http://origin{target}")
            assert answer.headers["cache-control"] == "no-store", target
        assert (await client.get("/static/s.html")).headers["cache-control"] == "public"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"if-match": '"other"'}, 412),
        ({"if-match": '"other", ETAG'}, 206),
        ({"if-match": "W/ETAG"}, 412),
        ({"if-match": "*"}, 206),
        ({"if-unmodified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 412),
        ({"if-unmodified-since": "Sun Nov  6 08:49:37 1994"}, 412),
        ({"if-unmodified-since": "Sunday, 06-Nov-94 08:49:37 GMT"}, 412),
        ({"if-unmodified-since": "yesterday"}, 206),
        ({"if-match": "ETAG", "if-unmodified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 206),
        ({"if-none-match": '"a,b", W/ETAG'}, 304),
        ({"if-none-match": '"other"'}, 206),
        ({"if-range": '"other"'}, 200),
        ({"if-range": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
        ({"if-match": '"other"', "if-none-match": "ETAG"}, 412),
    ],
)
async def test_conditions_come_before_the_range(
    client: httpx.AsyncClient, fields: dict[str, str], status: int
) -> None:
    etag = (await client.get("/file.bin")).headers["etag"]
    sent = {name: value.replace("ETAG", etag) for name, value in fields.items()} | {"range": "bytes=0-4"}
    assert (await client.get("/file.bin", headers=sent)).status_code == status


async def test_options_are_answered(client: httpx.AsyncClient) -> None:
    answer = await client.options("/file.bin", headers={"max-forwards": "0"})
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
