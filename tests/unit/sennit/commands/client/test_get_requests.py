"""`sennit get` as users of curl expect it: methods, bodies, heads, redirects inside the host, standard output."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from http_edge import http_edge
from loopback import LoopbackEdge

from runtime.errors import ExitStatus

LOCATIONS = {"/in": "/echo", "/loop": "/loop", "/out": "http://elsewhere/", "/same": "https://127.0.0.1/echo"}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says what it was asked; LOCATIONS redirect, with 307 where the query says so."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    location = LOCATIONS.get(scope["path"])
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    kept = ("content-type", "user-agent", "x-a")
    asked = {"method": scope["method"], "path": scope["path"], "body": body.decode()}
    text = json.dumps(asked | {name: headers[name] for name in kept if name in headers}).encode()
    answer = [(b"content-length", b"%d" % len(text)), (b"etag", b'"1"')]
    status = 200
    if location is not None:
        status = 307 if scope["query_string"] == b"keep" else 302
        answer.append((b"location", location.encode()))
    await send({"type": "http.response.start", "status": status, "headers": answer})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else text})


@pytest.fixture
async def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LoopbackEdge]:
    monkeypatch.chdir(tmp_path)
    async with http_edge(app) as running:
        yield running


async def get(
    edge: LoopbackEdge, path: str, *arguments: str, given: bytes = b""
) -> tuple[int | None, bytes, str]:
    """Exit status, standard output and standard error of the command, as a process of its own."""
    port = str(edge.port)
    flags = ["--path", "lo", "--allow-shared-path", "--id-port-base", port, "--timeout", "10"]
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("sennit"),
        *("get", *arguments, f"smkex://127.0.0.1:{port}{path}", *flags),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await asyncio.wait_for(process.communicate(given), 60)
    return process.returncode, out, said.decode()


async def asked(edge: LoopbackEdge, path: str, *arguments: str, given: bytes = b"") -> dict[str, str]:
    status, out, said = await get(edge, path, *arguments, given=given)
    assert status == 0, said
    found: dict[str, str] = json.loads(out)
    return found


async def test_a_hyphen_is_standard_output(edge: LoopbackEdge) -> None:
    found = await asked(edge, "/echo", "-o", "-")
    assert found["method"] == "GET"
    assert found["user-agent"].startswith("sennit/")


async def test_data_is_posted_as_a_form_and_joined(edge: LoopbackEdge, tmp_path: Path) -> None:
    (tmp_path / "more").write_text("c=3")
    found = await asked(edge, "/echo", "-d", "a=1", "-d", "@-", "-d", f"@{tmp_path / 'more'}", given=b"b=2")
    assert (found["method"], found["body"]) == ("POST", "a=1&b=2&c=3")
    assert found["content-type"] == "application/x-www-form-urlencoded"


async def test_method_and_fields_are_the_users(edge: LoopbackEdge) -> None:
    fields = ("-H", "Content-Type: text/plain", "-H", "User-Agent: mine")
    found = await asked(edge, "/echo", "-X", "PUT", "-d", "x", *fields)
    assert (found["method"], found["content-type"], found["user-agent"]) == ("PUT", "text/plain", "mine")


async def test_a_head_is_printed_as_it_came(edge: LoopbackEdge) -> None:
    status, out, _ = await get(edge, "/echo", "-I")
    assert status == 0
    assert out.startswith(b"HTTP/1.1 200 ")
    assert b'\r\netag: "1"\r\n' in out
    assert out.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/in", "/same"])
async def test_a_redirect_inside_the_host_is_followed_on_request(edge: LoopbackEdge, path: str) -> None:
    assert (await asked(edge, path, "-L"))["path"] == "/echo"
    status, out, said = await get(edge, path)
    assert (status, out) == (ExitStatus.HTTP, b"")
    assert "-L follows inside the host alone" in said


async def test_a_redirected_post_is_a_get_unless_it_must_stay(edge: LoopbackEdge) -> None:
    found = await asked(edge, "/in", "-L", "-d", "a=1")
    assert (found["method"], found["body"]) == ("GET", "")
    assert "content-type" not in found
    found = await asked(edge, "/in?keep", "-L", "-d", "a=1")
    assert (found["method"], found["body"]) == ("POST", "a=1")


@pytest.mark.parametrize("path", ["/out", "/loop"])
async def test_a_redirect_out_of_the_host_or_without_end_is_refused(edge: LoopbackEdge, path: str) -> None:
    status, out, said = await get(edge, path, "-L")
    assert (status, out) == (ExitStatus.HTTP, b"")
    assert "302" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("-I", "-d", "x"),
        ("-X", "A B"),
        ("-X", "CONNECT"),
        ("-d", "@/nowhere"),
        ("-C", "-", "-d", "x", "-o", "f"),
        ("-C", "-I", "-o", "f"),
        ("-C", "-", "-o", "-"),
        ("-o", "-", "-O"),
    ],
)
async def test_what_contradicts_itself_is_a_usage_error(
    edge: LoopbackEdge, arguments: tuple[str, ...]
) -> None:
    status, out, said = await get(edge, "/echo", *arguments)
    assert (status, out) == (ExitStatus.USAGE, b"")
    assert "error: " in said


async def test_continuing_is_written_as_curl_does(edge: LoopbackEdge, tmp_path: Path) -> None:
    status, _, said = await get(edge, "/echo", "-C", "-", "-o", str(tmp_path / "f"))
    assert status == 0, said
    assert json.loads((tmp_path / "f").read_text())["path"] == "/echo"
