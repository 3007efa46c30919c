"""The examples of the documentation do what their pages say, over sockets, in front of a real origin."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted_server import Asked, ScriptedServer, answer
from served_cache import Worker, served

PAGES = Path(__file__).parents[4] / "docs" / "services"
TEXT = "a page of text. " * 200


def documented_example(page: str) -> dict[str, Any]:
    """The first YAML block of a page."""
    text = (PAGES / f"{page}.md").read_text()
    found: dict[str, Any] = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0])
    return found


def text_origin(*fields: str) -> ScriptedServer:
    def say(asked: Asked) -> list[bytes]:
        return [answer(TEXT, "content-type: text/html", *fields)]

    return ScriptedServer(say)


async def settle(worker: Worker) -> None:
    async with asyncio.timeout(10):
        while worker.proxy.fetches.busy or worker.proxy.coded.busy:
            await asyncio.sleep(0.001)


async def ask(worker: Worker, path: str, **fields: str) -> str:
    """Return Cache-Status."""
    found = await worker.get(path, **fields)
    await settle(worker)
    return found.headers.get("cache-status", str(found.status_code))


async def test_the_cache_rules(tmp_path: Path) -> None:
    origin = text_origin()
    async with served(tmp_path, origin, document=documented_example("cache")) as (worker,):
        for _ in range(2):
            assert "fwd=bypass" in await ask(worker, "/checkout/basket")
        await ask(worker, "/site.css?v=1")
        assert re.search(r"hit; ttl=86[34]\d\d", await ask(worker, "/site.css?v=2", cache_control="no-cache"))
        phone = {"x_device": "phone", "cookie": "plan=gold"}
        await ask(worker, "/search?q=a&page=1&utm=x", **phone)
        assert re.search(r"hit; ttl=[3-6]\d", await ask(worker, "/search?q=a&page=1&utm=y", **phone))
        for other in ({**phone, "x_device": "tv"}, {**phone, "cookie": "plan=free"}):
            assert "fwd=uri-miss" in await ask(worker, "/search?q=a&page=1", **other)
        assert "fwd=uri-miss" in await ask(worker, "/search?q=b&page=1", **phone)
        assert "utm=x" in origin.asked[3].target


async def test_the_header_fields_and_redirects(tmp_path: Path) -> None:
    document = documented_example("headers")
    origin = text_origin("server: origin/1", "cache-control: max-age=60")
    async with served(tmp_path, origin, document=document) as (worker,):
        for _ in range(3):
            found = await worker.get("/a", cookie="id=1")
            await settle(worker)
            assert found.headers["strict-transport-security"] == "max-age=31536000"
            assert "server" not in found.headers
        assert worker.proxy.fast_path.hits
        (asked,) = origin.asked
        assert asked.fields["authorization"] == document["headers"]["origin"][0]["value"].lower()
        assert "cookie" not in asked.fields
        moved = await worker.get("/old/a?b")
        assert (moved.status_code, moved.headers["location"]) == (301, "https://www.example.org/old/a?b")


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
async def test_the_compression(tmp_path: Path, coding: str) -> None:
    origin = text_origin("cache-control: max-age=60", 'etag: "1"')
    async with served(tmp_path, origin, document=documented_example("compression")) as (worker,):
        for _ in range(3):
            async with worker.client.stream("GET", "/a", headers={"accept-encoding": coding}) as found:
                sent = b"".join([part async for part in found.aiter_raw()])
            await settle(worker)
        assert found.headers["content-encoding"] == coding
        assert found.headers["etag"] == f'W/"1-{coding}"'
        assert len(sent) < len(TEXT) / 10
        assert len(origin.asked) == 1


async def test_access_without_a_session_is_refused(tmp_path: Path) -> None:
    """The example asks for a mode of the key exchange, for both paths, and for prefixes: this client has none."""
    document = documented_example("access")
    document["access"].pop("signed_urls")  # test_signed_urls.py
    origin = text_origin()
    async with served(tmp_path, origin, document=document) as (worker,):
        assert (await worker.get("/a")).status_code == 403
    rates = {"limits": {**document["limits"], "requests_per_second": 0.001, "burst": 2}}
    async with served(tmp_path, origin, document=rates) as (worker,):
        statuses = [(await worker.get("/a")).status_code for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
