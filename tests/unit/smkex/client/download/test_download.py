"""A download is complete only if its bytes are those that the response announces; a full disk is a local failure."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from smkex.client.download.download import Download
from smkex.client.download.partial_file import CannotWrite

WHOLE = bytes(range(200))
ETAG = '"v1"'


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


def client(part: httpx.Response) -> httpx.AsyncClient:
    """Answer the first request with half of `WHOLE` and an error, the next with `part`."""
    answers = iter([part])

    async def half() -> AsyncIterator[bytes]:
        yield WHOLE[:100]
        raise httpx.ReadError("broken")

    def answer(request: httpx.Request) -> httpx.Response:
        if "range" in request.headers:
            return next(answers)
        return httpx.Response(200, headers={"etag": ETAG, "content-length": "200"}, content=half())

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


@pytest.mark.parametrize("size", [0, 10, 99, 101, 104, 200])
async def test_a_part_of_another_size_than_announced_is_never_completed(size: int, tmp_path: Path) -> None:
    headers = {"content-range": "bytes 100-199/200", "etag": ETAG}
    part = httpx.Response(206, headers=headers, content=stream(bytes(size)))
    target = tmp_path / "file"
    async with client(part) as http:
        download = Download(http, "http://cdn.lab/file", [])
        with pytest.raises(httpx.ReadError):
            await download.to_file(target, resume=False)
        with pytest.raises(httpx.RemoteProtocolError):
            await download.to_file(target, resume=True)
    assert not target.exists()
    assert (tmp_path / "file.part").read_bytes()[:100] == WHOLE[:100]


async def test_a_part_as_announced_completes_the_file(tmp_path: Path) -> None:
    headers = {"content-range": "bytes 100-199/200", "etag": ETAG}
    async with client(httpx.Response(206, headers=headers, content=stream(WHOLE[100:]))) as http:
        download = Download(http, "http://cdn.lab/file", [("X-A", "1"), ("X-A", "2")])
        with pytest.raises(httpx.ReadError):
            await download.to_file(tmp_path / "file", resume=False)
        await download.to_file(tmp_path / "file", resume=True)
    assert (tmp_path / "file").read_bytes() == WHOLE


async def test_a_full_disk_is_a_local_failure(tmp_path: Path) -> None:
    (tmp_path / "file.part").symlink_to("/dev/full")
    response = httpx.Response(200, content=stream(WHOLE))
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: response)) as http:
        with pytest.raises(CannotWrite):
            await Download(http, "http://cdn.lab/file", []).to_file(tmp_path / "file", resume=False)


@pytest.mark.parametrize("linked", [False, True])
async def test_a_file_that_is_replaced_leaves_its_mode_and_a_link_to_it_stays(
    linked: bool, tmp_path: Path
) -> None:
    there, asked = tmp_path / "folder" / "there", tmp_path / "asked"
    there.parent.mkdir()
    there.write_text("old")
    there.chmod(0o640)
    if linked:
        asked.symlink_to("folder/there")
    response = httpx.Response(200, content=stream(WHOLE))
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: response)) as http:
        download = Download(http, "http://cdn.lab/file", [])
        await download.to_file(asked if linked else there, resume=False)
    assert there.read_bytes() == WHOLE
    assert there.stat().st_mode & 0o7777 == 0o640
    assert asked.is_symlink() is linked
    assert sorted(each.name for each in there.parent.iterdir()) == ["there"]


async def test_a_link_to_nothing_is_followed(tmp_path: Path) -> None:
    (tmp_path / "asked").symlink_to("new")
    response = httpx.Response(200, content=stream(WHOLE))
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: response)) as http:
        await Download(http, "http://cdn.lab/file", []).to_file(tmp_path / "asked", resume=False)
    assert (tmp_path / "new").read_bytes() == WHOLE
    assert (tmp_path / "asked").is_symlink()
