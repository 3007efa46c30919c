"""`sennit get` against an edge on loopback that serves real files: resume, names, statuses, what is left behind."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from http_edge import http_edge
from loopback import LoopbackEdge, until

from origin.app import OriginApp
from runtime.errors import ExitStatus
from sennit.main import main

SIZE = 4_000_000


class Site:
    """An edge before a folder; `asked` are the requests' methods, paths and ranges."""

    def __init__(self, edge: LoopbackEdge, folder: Path) -> None:
        self.edge, self.folder = edge, folder
        self.asked: list[str] = []
        self.answer: Any = None  # an ASGI application in place of the files

    def flags(self) -> list[str]:
        port = str(self.edge.port)
        return ["--path", "lo", "--allow-shared-path", "--id-port-base", port, "--timeout", "3"]

    def url(self, path: str) -> str:
        return f"smkex://127.0.0.1:{self.edge.port}{path}"

    async def get(self, *arguments: str) -> int:
        return await asyncio.to_thread(main, ["get", *arguments, *self.flags()])

    async def start(self, *arguments: str, stdout: int | None = None) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("sennit"),
            *("get", *arguments, *self.flags()),
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            # a shell starts what runs in the background with Ctrl-C ignored, and that is inherited
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    folder = tmp_path / "origin"
    folder.mkdir()
    (folder / "file.bin").write_bytes(os.urandom(SIZE))
    files = OriginApp(folder, 60)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        found.asked.append(f"{scope['method']} {scope['path']} {headers.get(b'range', b'-').decode()}")
        await (found.answer or files)(scope, receive, send)

    async with http_edge(app) as edge:
        found = Site(edge, folder)
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        yield found


def content(site: Site) -> bytes:
    return (site.folder / "file.bin").read_bytes()


async def broken_off(site: Site, *arguments: str) -> int:
    """A download that loses its session in the middle; its status."""
    getting = asyncio.ensure_future(
        site.get(site.url("/file.bin"), "-o", "out", "--limit-rate", "2M", *arguments)
    )
    await until(lambda: Path("out.part").exists() and Path("out.part").stat().st_size > SIZE // 10)
    site.edge.session.abort()
    return await getting


# --- continuing


async def test_what_was_broken_off_is_continued_and_not_begun_anew(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await broken_off(site) == ExitStatus.BROKEN_OFF
    said = capsys.readouterr().err
    assert "`sennit get -C` resumes from there" in said
    assert "error: " in said
    assert not Path("out").exists()
    kept = Path("out.part").stat().st_size
    assert await site.get(site.url("/file.bin"), "-o", "out", "-C", "--json") == 0
    assert Path("out").read_bytes() == content(site)
    assert site.asked == ["GET /file.bin -", f"GET /file.bin bytes={kept}-"]
    result = json.loads(capsys.readouterr().err)
    assert (result["status"], result["start"], result["bytes"]) == (206, kept, SIZE - kept)
    assert sorted(path.name for path in Path().iterdir()) == ["out"]


async def test_without_the_flag_it_is_begun_anew(site: Site) -> None:
    await broken_off(site)
    assert await site.get(site.url("/file.bin"), "-o", "out", "--quiet") == 0
    assert Path("out").read_bytes() == content(site)
    assert site.asked[1] == "GET /file.bin -"


async def test_a_file_that_changed_meanwhile_is_begun_anew(site: Site) -> None:
    await broken_off(site)
    (site.folder / "file.bin").write_bytes(os.urandom(SIZE // 2))
    assert await site.get(site.url("/file.bin"), "-o", "out", "-C") == 0
    assert Path("out").read_bytes() == content(site)
    assert site.asked[-1] == "GET /file.bin -"


async def test_control_c_leaves_what_can_be_continued(site: Site) -> None:
    getting = await site.start(site.url("/file.bin"), "-o", "out", "--limit-rate", "1M")
    await until(lambda: Path("out.part").exists() and Path("out.part").stat().st_size > 0)
    getting.send_signal(signal.SIGINT)
    _, said = await getting.communicate()
    assert getting.returncode == ExitStatus.INTERRUPTED
    assert b"kept  " in said
    assert b"Traceback" not in said
    assert await site.get(site.url("/file.bin"), "-o", "out", "-C") == 0
    assert Path("out").read_bytes() == content(site)
    assert site.asked[-1].startswith("GET /file.bin bytes=")


async def test_a_killed_download_can_be_continued_too(site: Site) -> None:
    getting = await site.start(site.url("/file.bin"), "-o", "out", "--limit-rate", "1M")
    await until(lambda: Path("out.part").exists() and Path("out.part").stat().st_size > 0)
    getting.kill()
    await getting.communicate()
    assert await site.get(site.url("/file.bin"), "-o", "out", "-C") == 0
    assert Path("out").read_bytes() == content(site)
    assert site.asked[-1].startswith("GET /file.bin bytes=")


async def test_within_the_time_for_retries_it_continues_by_itself(site: Site) -> None:
    assert await broken_off(site, "--retry-for", "20") == 0
    assert Path("out").read_bytes() == content(site)
    assert site.asked[1].startswith("GET /file.bin bytes=")


async def test_a_retry_begins_anew_what_it_has_not_begun_itself(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """A partial file exists, and -C is not given."""
    await broken_off(site)
    port, free = site.edge.relays[0], site.edge.port
    port.stop()
    caplog.set_level("INFO", "sennit")
    getting = asyncio.ensure_future(site.get(site.url("/file.bin"), "-o", "out", "--retry-for", "10"))
    await until(lambda: "retrying: " in caplog.text)
    await port.start(free)
    assert await getting == 0
    assert Path("out").read_bytes() == content(site)
    assert site.asked[-1] == "GET /file.bin -"


async def test_what_is_whole_but_for_its_name_is_not_asked_for_again(site: Site) -> None:
    Path("out.part").write_bytes(content(site))
    note = {"url": site.url("/file.bin"), "etag": '"x"', "total": SIZE}
    Path("out.part.json").write_text(json.dumps(note))
    assert await site.get(site.url("/file.bin"), "-o", "out", "-C") == 0
    assert Path("out").read_bytes() == content(site)
    assert site.asked == []


@pytest.mark.parametrize(
    "note",
    [
        "rubbish",
        "[" * 60_000,
        '{"url": "smkex://elsewhere/", "etag": "\\"x\\"", "total": null}',
        '{"url": "URL", "etag": "W/\\"x\\"", "total": null}',
        '{"url": "URL", "etag": "\\"x\\r\\nevil: 1\\"", "total": null}',
        '{"url": "URL", "etag": "\\"x\\"", "total": 3}',
        '{"url": "URL", "etag": "\\"x\\"", "total": "many"}',
    ],
)
async def test_a_note_that_makes_no_sense_begins_anew(site: Site, note: str) -> None:
    Path("out.part").write_bytes(b"something else")
    Path("out.part.json").write_text(note.replace("URL", site.url("/file.bin")))
    assert await site.get(site.url("/file.bin"), "-o", "out", "-C") == 0
    assert Path("out").read_bytes() == content(site)
    assert site.asked == ["GET /file.bin -"]


@pytest.mark.parametrize(
    ("status", "content_range"),
    [
        (206, b"bytes 0-9/10"),  # not from where we are
        (206, b"bytes 4-6/10"),  # not to the end
        (206, b"bytes 4-19/20"),  # of something longer
        (206, b"rubbish"),
        (416, b"bytes */10"),
    ],
)
async def test_a_server_that_continues_wrongly_is_asked_for_the_whole(
    site: Site, status: int, content_range: bytes
) -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        ranged = b"range" in dict(scope["headers"])
        body = b"wrong!" if ranged else b"0123456789"
        headers = [(b"etag", b'"x"'), (b"content-length", b"%d" % len(body))]
        headers += [(b"content-range", content_range)] if ranged else []
        await send({"type": "http.response.start", "status": status if ranged else 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    site.answer = answer
    Path("out.part").write_bytes(b"0123")
    note = {"url": site.url("/x"), "etag": '"x"', "total": 10}
    Path("out.part.json").write_text(json.dumps(note))
    assert await site.get(site.url("/x"), "-o", "out", "-C") == 0
    assert Path("out").read_bytes() == b"0123456789"


async def test_two_downloads_never_write_to_one_file(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    first = await site.start(site.url("/file.bin"), "-o", "out", "--limit-rate", "2M")
    await until(lambda: Path("out.part").exists() and Path("out.part").stat().st_size > 0)
    assert await site.get(site.url("/file.bin"), "-o", "out") == ExitStatus.FAILURE
    assert "another download writes to out.part" in capsys.readouterr().err
    await first.communicate()
    assert Path("out").read_bytes() == content(site)


async def test_a_full_disk_is_reported_as_such(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert await site.get(site.url("/file.bin"), "-o", "/dev/full") == ExitStatus.FAILURE
    assert await site.get(site.url("/file.bin"), "-o", "missing/out") == ExitStatus.FAILURE
    assert capsys.readouterr().err.count("cannot write") == 2


async def test_what_cannot_be_continued_is_not_left_behind(site: Site) -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"four", "more_body": True})
        raise RuntimeError("breaks off, and has no ETag")

    site.answer = answer
    assert await site.get(site.url("/x"), "-o", "out") == ExitStatus.BROKEN_OFF
    assert list(Path().iterdir()) == []


# --- several, names, headers


async def test_several_go_to_a_folder_by_one_session_and_one_failure_is_reported(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        (site.folder / name).write_text(name)
    Path("folder").mkdir()
    urls = [site.url("/a"), site.url("/missing"), site.url("/b?x=1")]
    assert await site.get(*urls, "--output-dir", "folder", "--quiet") == ExitStatus.HTTP
    assert {path.name: path.read_text() for path in Path("folder").iterdir()} == {"a": "a", "b": "b"}
    assert len(site.edge.sessions) == 1
    assert capsys.readouterr().err == f"error: {urls[1]}: 404 Not Found\n"


@pytest.mark.parametrize(("name", "status"), [("file.bin", ExitStatus.FAILURE), ("text", ExitStatus.OK)])
async def test_a_terminal_gets_text_only(site: Site, name: str, status: int) -> None:
    (site.folder / "text").write_text("hello\n")
    ours, terminal = os.openpty()
    getting = await site.start(site.url(f"/{name}"), stdout=terminal)
    os.close(terminal)
    _, said = await getting.communicate()
    assert getting.returncode == status
    if status:
        assert b"hint:  -o FILE, or > FILE" in said
    else:
        assert os.read(ours, 100) == b"hello\r\n"
    os.close(ours)


async def test_headers_are_sent_and_a_part_may_be_asked_for_by_hand(site: Site) -> None:
    assert await site.get(site.url("/file.bin"), "-O", "-H", "Range: bytes=2-5", "--quiet") == 0
    assert Path("file.bin").read_bytes() == content(site)[2:6]


async def test_a_redirect_is_reported_and_never_followed(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"location", b"http://elsewhere/"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    site.answer = answer
    assert await site.get(site.url("/x")) == ExitStatus.HTTP
    assert "hint:  it points to http://elsewhere/, which is not followed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["https://127.0.0.1/x"],
        ["smkex:///x"],
        ["smkex://h/", "-O"],
        ["smkex://h/a/..", "-O"],
        ["smkex://h/.profile", "-O"],
        ["smkex://h/..%2f..%2fetc", "-O"],
        ["smkex://h/a%0ab", "-O"],
        ["smkex://h/a%1b[2J", "-O"],
        ["smkex://h/a", "smkex://h/b", "-o", "c"],
        ["smkex://h/a", "-o", "c", "-O"],
        ["smkex://h/a", "-C"],
        ["smkex://h/a", "--output-dir", "nowhere"],
    ],
)
def test_wrong_usage_is_reported_before_anything_is_dialled(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["get", *arguments]) == ExitStatus.USAGE
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("arguments", [["-H", "no colon"], ["-H", "a: b\nc: d"], ["--limit-rate", "fast"]])
def test_flags_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["get", "smkex://h/a", *arguments])
    assert ended.value.code == ExitStatus.USAGE


async def test_an_unreachable_host_has_its_own_status(site: Site) -> None:
    assert await site.get("smkex://127.0.0.1:1/x", "-o", "out") == ExitStatus.UNREACHABLE
    assert list(Path().iterdir()) == []
