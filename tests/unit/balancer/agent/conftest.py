"""A real control plane on loopback that can go away and come back, and the answer an edge gives to its agent."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from free_ports import free_port

from balancer.api.client import ControlClient
from balancer.api.schemas import EnrolmentTokenRequest, VipBody
from balancer.control.app import create_app
from balancer.control.rules import ControlRules

ADMIN = "the-admin-token-of-this-test"


class Control:
    """A control plane served by uvicorn on a port that stays the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lease_seconds = 3.0
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        app = create_app(self.folder, ADMIN, ControlRules(lease_seconds=self.lease_seconds))
        config = uvicorn.Config(
            app, host="127.0.0.1", port=self.port, log_config=None, timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve())
        await until(lambda: self._server is not None and self._server.started)

    async def stop(self) -> None:
        if self._server and self._task:
            self._server.should_exit = True
            await self._task
        self._server = None

    def admin(self) -> ControlClient:
        return ControlClient(self.url, ADMIN)


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Poll until the condition, which may be a coroutine function, holds."""
    async with asyncio.timeout(seconds):
        while True:
            value = condition()
            if await value if asyncio.iscoroutine(value) else value:
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def edge_says(path: Path, status: str) -> AsyncIterator[None]:
    """Answer at the edge's unix socket as an edge does."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"status": status, "reasons": [], "sessions": 0}).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )
        await writer.drain()
        writer.close()

    path.parent.mkdir(parents=True, exist_ok=True)
    server = await asyncio.start_unix_server(answer, path)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    running = Control(tmp_path / "control")
    await running.start()
    async with running.admin() as client:
        await client.add_vip(VipBody.model_validate({"name": "main", "v4": "203.0.113.1"}))
        token = await client.create_enrolment_token(EnrolmentTokenRequest())
    (tmp_path / "token").write_text(token.token)
    yield running
    await running.stop()


@pytest.fixture
def wait_until() -> Any:
    return until


@pytest.fixture
def edge_answers() -> Any:
    return edge_says
