"""`sennit table-key` prints what a node's root-owned key file holds."""

import argparse
import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from balancer.api.client import ControlClient, Garbled
from node.state import table_key
from node.state.table_key import TABLE_KEY_VARIABLE, trusted_table_keys
from sennit import remote
from sennit.commands.fleet import table_key as command

KEY = bytes(range(32))


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The answer of the control plane; a test may change it."""
    body = {"algorithm": "ed25519", "key": base64.b64encode(KEY).decode()}

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/table/key"
        return httpx.Response(200, json=body)

    def call(options: argparse.Namespace, request: Callable[[ControlClient], Awaitable[bytes]]) -> bytes:
        async def run() -> bytes:
            async with ControlClient("http://127.0.0.1", transport=httpx.MockTransport(answer)) as client:
                return await request(client)

        return asyncio.run(run())

    monkeypatch.setattr(remote, "call_control", call)
    return body


def test_its_output_is_the_file_that_the_daemons_read(
    answered: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert command.run([]) == 0
    file = tmp_path / "etc" / "table.key"
    file.parent.mkdir(mode=0o755)
    file.write_text(capsys.readouterr().out)
    file.chmod(0o644)
    assert json.loads(file.read_text()) == {"ed25519": KEY.hex()}
    monkeypatch.setenv(TABLE_KEY_VARIABLE, str(file))
    monkeypatch.setattr(table_key, "ROOT", os.geteuid())
    assert trusted_table_keys(tmp_path) == (KEY,)


def test_an_answer_that_is_no_key_is_an_error(answered: dict[str, str]) -> None:
    answered["key"] = "?"
    with pytest.raises(Garbled, match="invalid key"):
        command.run([])
