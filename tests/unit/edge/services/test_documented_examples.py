"""The examples of the documentation do what their pages say, over sockets, in front of a real origin."""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from certificates import identity
from origin_groups import ask as ask_origins
from proxy_protocol import read_proxy_header
from scripted_server import Asked, ScriptedServer, answer
from served_cache import Worker, served

from edge.http.origin_response import OriginFailed
from edge.origins.origin_group import ServiceOrigins
from edge.origins.origin_state import OriginHealth
from edge.origins.registry import OriginRegistry
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.request_record import current_record
from edge.telemetry.telemetry import Telemetry
from services.document import HttpService, parse_document

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


@dataclass
class DocumentedOrigin:
    """An origin as the example describes it: behind PROXY protocol and TLS, which wants a client certificate."""

    context: ssl.SSLContext
    health_status: str = "204 No Content"
    health_fields: str = ""
    status: str = "200 OK"
    silent: bool = False
    names: list[str | None] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    checks: int = 0

    async def serve(self, listening: socket.socket) -> None:
        """Accept until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                accepted, _ = await loop.sock_accept(listening)
                group.create_task(self._serve_connection(accepted))

    async def _serve_connection(self, accepted: socket.socket) -> None:
        loop, read = asyncio.get_running_loop(), b""
        while len(read) < 16 or len(read) < 16 + int.from_bytes(read[14:16], "big"):
            missing = 16 + int.from_bytes(read[14:16], "big") - len(read)  # no byte of TLS
            read += await loop.sock_recv(accepted, missing) if missing else b""
        if read[12] == 0x21:  # PROXY; a check says LOCAL
            header = asyncio.StreamReader()
            header.feed_data(read)
            self.clients.append((await read_proxy_header(header)).source[0])
        protocol = ScriptedServer(self.answer).protocol()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=self.context)

    async def answer(self, asked: Asked) -> list[bytes]:
        if asked.target == "/site/health":
            self.checks += 1
            return [f"HTTP/1.1 {self.health_status}\r\n{self.health_fields}\r\n".encode()]
        self.asked.append(asked)
        if self.silent:
            await asyncio.Event().wait()
        return [answer("body", status=self.status)]


@asynccontextmanager
async def documented_origin(
    folder: Path, **changed: Any
) -> AsyncIterator[tuple[DocumentedOrigin, ServiceOrigins]]:
    """The origin of the example, and the origins of the service; `changed` are fields with other values."""
    files, own = identity(folder, "origin", "origin.example"), identity(folder, "edge", "edge.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    context.load_verify_locations(own[0])
    context.verify_mode = ssl.CERT_REQUIRED
    origin = DocumentedOrigin(context)
    context.sni_callback = lambda connection, name, _: origin.names.append(name)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    serving = asyncio.create_task(origin.serve(listening))
    document = documented_example("origins")
    [described] = document["origins"]
    described |= {"url": f"https://127.0.0.1:{listening.getsockname()[1]}/site", **changed}
    described["tls"] |= {"ca": files[0].read_text(), "client_certificate": own[0].read_text()}
    parsed = parse_document({"hostnames": ["www.example.org"], **document})
    assert isinstance(parsed, HttpService)
    registry = OriginRegistry("edge1", lambda address: None)
    checking = asyncio.create_task(registry.checks.run())
    facts = ConnectionFacts("tofu", "tcp", 1, "192.0.2.7")
    facts.client_port, facts.server, facts.server_port = 4000, "203.0.113.1", 443
    token = current_record.set(Telemetry(1).begin_request(facts, "GET", b"/", ()))
    try:
        yield (
            origin,
            registry.make_origins("shop", parsed, {described["tls"]["client_key"]: own[1].read_text()}),
        )
    finally:
        current_record.reset(token)
        await registry.close()
        for task in (checking, serving):
            task.cancel()
        await asyncio.gather(checking, serving, return_exceptions=True)
        listening.close()


async def test_the_settings_of_an_origin(tmp_path: Path) -> None:
    async with documented_origin(tmp_path) as (origin, origins):
        assert await ask_origins(origins, "/a") == (200, "body")
        [asked] = origin.asked
        assert (asked.target, asked.fields["host"]) == ("/site/a", "www.example.org")
        assert (set(origin.names), origin.clients) == ({"origin.example"}, ["192.0.2.7"])


async def test_the_ejection_of_an_origin(tmp_path: Path) -> None:
    async with documented_origin(tmp_path, response_timeout=0.2) as (origin, origins):
        [member] = origins.members
        origin.silent = True
        for _ in range(3):
            assert member.state.health is OriginHealth.HEALTHY
            with pytest.raises(OriginFailed):
                await ask_origins(origins, "/a")
        assert member.state.health is OriginHealth.EJECTED


async def test_the_checks_of_an_origin(tmp_path: Path) -> None:
    check = {**documented_example("origins")["origins"][0]["health"], "interval": 0.1, "timeout": 5}
    async with documented_origin(tmp_path, health=check) as (origin, origins):
        [member] = origins.members

        async def until(health: OriginHealth) -> None:
            async with asyncio.timeout(60):
                while member.state.health is not health:
                    await asyncio.sleep(0.01)

        await ask_origins(origins, "/a")
        async with asyncio.timeout(60):
            while origin.checks < 5:  # the result of the fourth is known
                await asyncio.sleep(0.01)
        assert member.state.health is OriginHealth.HEALTHY
        origin.health_status, origin.health_fields = "200 OK", "content-length: 0\r\n"
        await until(OriginHealth.ILL)
        origin.health_status, origin.health_fields = "204 No Content", ""
        await until(OriginHealth.HEALTHY)
