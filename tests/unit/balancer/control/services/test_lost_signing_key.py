"""A control plane whose signing key is lost does not start; an operator replaces the key while it is stopped.

A step of a rotation for which the disk has no room changes nothing, and succeeds once there is room.
"""

import asyncio
import base64
import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.offline_key import replace_key_offline
from balancer.control.storage.database import DATABASE, NEXT_SIGNING_KEY, SIGNING_KEY, UNUSED_SIGNING_KEY
from balancer.control.table.signing_key import NoSigningKey, create_key
from balancer.control.unusable_state import StateUnusable
from balancer.model.signature import verify

ROTATION = "/v1/table/key/rotation"
SIGNED = {"signed_urls": {"issuers": ["https://shop.example"], "keys": ["url-key"]}}
LOSSES = ["missing", "damaged", "empty", "another"]
pytestmark = pytest.mark.parametrize("database", [None])


def lose_key(state: Path, how: str) -> bytes:
    """Lose the signing key; returns what stands in its place."""
    path = state / SIGNING_KEY
    path.unlink()
    match how:
        case "damaged":
            path.write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
        case "empty":
            path.touch()
        case "another":
            create_key(path)
    return path.read_bytes() if path.exists() else b""


async def show_keys(api: Any) -> dict[str, Any]:
    shown: dict[str, Any] = (await api.ask("GET", ROTATION)).json()
    return shown


async def take(api: Any, action: str) -> Any:
    return await api.ask("POST", ROTATION, {"action": action, "force": True})


async def verify_table(api: Any, key: bytes) -> int:
    """Verify the table in force; returns its generation."""
    table = await api.table()
    verify(key, table, base64.b64decode(table.pop("signature")))
    return int(table["generation"])


async def serve_a_secret(api: Any, document: Any) -> None:
    await api.ask("POST", "/v1/services", {"name": "shop"})
    number = (await api.ask("POST", "/v1/services/shop/revisions", document(access=SIGNED))).json()["number"]
    assert (
        await api.ask("PUT", "/v1/services/shop/secrets/url-key", {"value": "a secret"})
    ).status_code < 300
    assert (await api.ask("POST", "/v1/services/shop/activate", {"revision": number})).status_code < 300


@pytest.mark.parametrize("how", LOSSES)
async def test_without_its_key_it_does_not_start_and_names_the_command(
    open_in: Any, tmp_path: Path, how: str, database: None
) -> None:
    async with open_in(tmp_path):
        pass
    lose_key(tmp_path, how)
    with pytest.raises(NoSigningKey, match=SIGNING_KEY) as refused:
        async with open_in(tmp_path):
            pass
    assert f"sennit table-key replace --state {tmp_path}" in refused.value.hint


@pytest.mark.parametrize("how", LOSSES)
async def test_a_lost_key_is_replaced_while_the_control_plane_is_stopped(
    open_in: Any, tmp_path: Path, document: Any, how: str, database: None
) -> None:
    async with open_in(tmp_path) as api:
        await api.enrol(1)
        await serve_a_secret(api, document)
        await take(api, "begin")
        before = bytes.fromhex((await show_keys(api))["current"])
        generation = await verify_table(api, before)
    left = lose_key(tmp_path, how)
    replaced = await replace_key_offline(tmp_path, None, "the disk failed")
    assert replaced.lost_secrets == ("shop/url-key",)
    assert not left or (tmp_path / UNUSED_SIGNING_KEY).read_bytes() == left
    assert not (tmp_path / NEXT_SIGNING_KEY).exists()
    assert (tmp_path / SIGNING_KEY).stat().st_mode & 0o777 == 0o600
    async with open_in(tmp_path) as api:
        assert await verify_table(api, replaced.key) > generation
        shown = (await api.ask("GET", "/v1/table/key")).json()
        assert (base64.b64decode(shown["key"]), shown["next"], shown["links"]) == (replaced.key, None, [])
        (newest,) = (await api.ask("GET", "/v1/audit?limit=1")).json()["items"]
        assert (newest["what"], newest["why"]) == ("table-key.replace", "the disk failed")
        await api.ask("PUT", "/v1/services/shop/secrets/url-key", {"value": "another"})
        assert api.plane.services.live.services["shop"].active.secrets == {"url-key": "another"}
        assert (await take(api, "begin")).status_code == 200


async def test_a_key_that_is_there_is_replaced_and_no_secret_is_lost(
    open_in: Any, tmp_path: Path, document: Any, database: None
) -> None:
    async with open_in(tmp_path) as api:
        await serve_a_secret(api, document)
    replaced = await replace_key_offline(tmp_path, None, "stolen")
    assert replaced.lost_secrets == ()
    assert not (tmp_path / UNUSED_SIGNING_KEY).exists()
    async with open_in(tmp_path) as api:
        assert (await show_keys(api))["current"] == replaced.key.hex()
        assert api.plane.services.live.services["shop"].active.secrets == {"url-key": "a secret"}


async def test_it_is_replaced_in_no_folder_that_is_in_use_or_is_no_control_planes(
    open_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: None
) -> None:
    async with open_in(tmp_path / "a") as api:
        with pytest.raises(StateUnusable, match="another control plane uses"):
            await replace_key_offline(tmp_path / "a", None, "")
        key = (await show_keys(api))["current"]
    with pytest.raises(StateUnusable, match=DATABASE):
        await replace_key_offline(tmp_path, None, "")
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: (tmp_path / "a").stat().st_uid + 1)
        with pytest.raises(StateUnusable, match="user id"):
            await replace_key_offline(tmp_path / "a", None, "")
    async with open_in(tmp_path / "a") as api:
        assert (await show_keys(api))["current"] == key


async def test_the_daemon_and_the_command_end_with_one_error_and_a_hint(
    tmp_path: Path, open_in: Any, database: None
) -> None:
    async with open_in(tmp_path):
        pass
    lose_key(tmp_path, "missing")
    (tmp_path / "admin").write_text("the-admin-token-of-this-test")
    at = ("--state", str(tmp_path))
    start = ("control", *at, "--admin-token-file", str(tmp_path / "admin"), "--listen", "127.0.0.1:0")
    status, said = await run_sennit(*start)
    assert status == 1
    assert f"error: {tmp_path / SIGNING_KEY} is missing" in said
    assert f"sennit table-key replace --state {tmp_path}" in said
    assert "Traceback" not in said
    status, said = await run_sennit("table-key", "replace", *at, "--reason", "lost")
    assert (status, said[:6]) == (0, "key   ")
    (tmp_path / DATABASE).write_bytes(b"no database" * 1000)
    for command in (start, ("table-key", "replace", *at)):
        status, said = await run_sennit(*command)
        assert status == 1
        assert "error: database: file is not a database" in said
        assert "Traceback" not in said


async def run_sennit(*arguments: str) -> tuple[int | None, str]:
    """Run a command that ends by itself; returns its status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("sennit"), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode, said.decode()


@pytest.mark.parametrize("action", ["begin", "replace"])
async def test_a_step_whose_key_finds_no_room_changes_nothing(
    open_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, database: None
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with open_in(tmp_path) as api:
        before, files = await show_keys(api), set(tmp_path.iterdir())
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", refuse)
            answer = await take(api, action)
        assert (answer.status_code, answer.json()["type"]) == (
            503,
            "urn:sennit:problem:signing-key-not-written",
        )
        assert "No space left" in answer.json()["detail"]
        assert (await show_keys(api), set(tmp_path.iterdir())) == (before, files)
        await verify_table(api, bytes.fromhex(before["current"]))
        assert (await take(api, action)).status_code == 200


@pytest.mark.parametrize("action", ["begin", "finish", "cancel", "replace"])
async def test_a_step_that_the_database_has_no_room_for_changes_nothing(
    open_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, database: None
) -> None:
    async def refuse(session: AsyncSession) -> None:
        raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    async with open_in(tmp_path) as api:
        if action in ("finish", "cancel"):
            await take(api, "begin")
        before = await show_keys(api)
        with monkeypatch.context() as patched:
            patched.setattr(AsyncSession, "commit", refuse)
            assert (await take(api, action)).status_code == 503
        assert await show_keys(api) == before
        await verify_table(api, bytes.fromhex(before["current"]))
    async with open_in(tmp_path) as api:  # also after a restart
        assert await show_keys(api) == before
        await verify_table(api, bytes.fromhex(before["current"]))
        assert (await take(api, action)).status_code == 200


async def test_a_next_key_that_is_damaged_ends_no_rotation_and_another_begins(
    open_in: Any, tmp_path: Path, database: None
) -> None:
    async with open_in(tmp_path) as api:
        await take(api, "begin")
        (tmp_path / NEXT_SIGNING_KEY).write_text("-----BEGIN")
    async with open_in(tmp_path) as api:
        answer = await take(api, "finish")
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:sennit:problem:next-key-missing")
        for action in ("cancel", "begin", "finish"):
            assert (await take(api, action)).status_code == 200
        await verify_table(api, bytes.fromhex((await show_keys(api))["current"]))
