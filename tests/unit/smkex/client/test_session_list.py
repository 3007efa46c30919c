"""The list of this user's sessions: read from each process, in a directory of the user's own."""

import asyncio
import socket
from pathlib import Path

import pytest

from smkex.client.session_list import SessionList, read_session_lists


async def test_each_process_lists_its_sessions_until_it_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENNIT_SESSIONS", str(tmp_path / "sessions"))
    assert read_session_lists() == {}
    sessions = SessionList("run", lambda: [{"host": "cdn.example", "text": "a report"}])
    await sessions.open()
    listed = await asyncio.to_thread(read_session_lists)
    assert [*listed.values()] == [[{"host": "cdn.example", "text": "a report"}]]
    assert next(iter(listed)).startswith("run-")
    sessions.close()
    assert await asyncio.to_thread(read_session_lists) == {}
    assert not list((tmp_path / "sessions").iterdir())


async def test_what_a_dead_process_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENNIT_SESSIONS", str(tmp_path))
    dead = tmp_path / "run-1.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(dead))
    assert read_session_lists() == {}
    assert not dead.exists()


async def test_a_directory_that_others_can_enter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENNIT_SESSIONS", str(tmp_path))
    tmp_path.chmod(0o755)
    with pytest.raises(PermissionError, match="mode 0700"):
        await SessionList("run", list).open()
