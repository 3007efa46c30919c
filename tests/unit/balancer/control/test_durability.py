"""What was acknowledged outlives a kill at any moment, and a backup made in the middle of changes is whole."""

import asyncio
import contextlib
import random
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from free_ports import free_port
from sqlalchemy import text

from balancer.control.storage.backup import BackupError, restore_backup, save_backup

ADMIN = "the-admin-token-of-this-test"
HEADERS = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def database() -> None:
    """SQLite: these are about its files."""


def sites(database: Path) -> set[str]:
    connection = sqlite3.connect(database)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = {name for (name,) in connection.execute("SELECT name FROM site")}
    assert connection.execute("SELECT count(*) FROM audit WHERE what = 'site.add'").fetchone() == (
        len(found),
    )
    connection.close()
    return found


def as_if_cut_off(state: Path, target: Path) -> Path:
    """The database's files as they are now, as a machine that loses power would leave them."""
    target.mkdir()
    for name in ("control.sqlite-wal", "control.sqlite"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(state / name, target / name)
    return target / "control.sqlite"


async def test_at_every_write_boundary_the_files_open_with_all_that_was_acknowledged(
    api: Any, tmp_path: Path
) -> None:
    acknowledged: set[str] = set()
    for number in range(25):
        assert (await api.ask("POST", "/v1/sites", {"name": f"s{number}"})).status_code == 201
        acknowledged.add(f"s{number}")
        assert sites(as_if_cut_off(tmp_path, tmp_path / f"cut{number}")) == acknowledged


async def test_the_log_cut_off_at_any_frame_or_within_opens_with_all_that_was_acknowledged(
    api: Any, tmp_path: Path
) -> None:
    """A machine that loses power in the middle of a change: the log ends anywhere after the last sync."""
    async with api.plane.store.read() as session:
        assert await session.scalar(text("PRAGMA synchronous")) == 2, "FULL: each commit is on the disk"
    emptied = sqlite3.connect(tmp_path / "control.sqlite")
    assert emptied.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    emptied.close()
    log, acknowledged_at = tmp_path / "control.sqlite-wal", {}
    for number in range(12):
        assert (await api.ask("POST", "/v1/sites", {"name": f"s{number}"})).status_code == 201
        acknowledged_at[f"s{number}"] = log.stat().st_size
    whole, database = log.read_bytes(), (tmp_path / "control.sqlite").read_bytes()
    frame = 24 + int.from_bytes(whole[8:12], "big")  # of the log: header and page
    assert len(whole) > 24 * frame
    found = set()
    for boundary in range(32, len(whole) + 1, frame):
        for end in (boundary, boundary + 24 + frame // 2):
            target = tmp_path / f"cut{end}"
            target.mkdir()
            (target / "control.sqlite").write_bytes(database)
            (target / "control.sqlite-wal").write_bytes(whole[:end])
            found = sites(target / "control.sqlite")
            assert {name for name, size in acknowledged_at.items() if size <= end} <= found
            shutil.rmtree(target)
    assert found == set(acknowledged_at)


async def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    (tmp_path / "admin").write_text(ADMIN)
    acknowledged: set[str] = set()
    for life in range(2):
        port = free_port()
        sennit = Path(sys.executable).with_name("sennit")
        flags = [
            "--state",
            tmp_path,
            "--listen",
            f"127.0.0.1:{port}",
            "--admin-token-file",
            tmp_path / "admin",
        ]
        process = await asyncio.create_subprocess_exec(
            sennit, "control", *flags, stderr=asyncio.subprocess.DEVNULL
        )
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=HEADERS) as http:
            writers = [
                asyncio.create_task(_write(http, f"l{life}w{writer}", acknowledged)) for writer in range(4)
            ]
            before = len(acknowledged)
            async with asyncio.timeout(60):
                while len(acknowledged) < before + random.randint(5, 40):
                    await asyncio.sleep(0.005)
            process.kill()
            await process.wait()
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
        assert acknowledged <= sites(tmp_path / "control.sqlite")


async def _write(http: httpx.AsyncClient, prefix: str, acknowledged: set[str]) -> None:
    for number in range(1000):
        name = f"{prefix}n{number}"
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await http.post("/v1/sites", json={"name": name})).status_code < 300:
                    acknowledged.add(name)
                    break
            await asyncio.sleep(0.02)


async def test_a_backup_made_while_it_runs_is_restored_whole(api: Any, open_in: Any, tmp_path: Path) -> None:
    token = (await api.ask("POST", "/v1/tokens", {"name": "alice", "role": "operate"})).json()["token"]
    await api.enrol(1)
    before = await api.table()
    await asyncio.to_thread(save_backup, tmp_path, tmp_path / "backup.tar.gz")
    assert (tmp_path / "backup.tar.gz").stat().st_mode & 0o777 == 0o600
    await api.enrol(2)
    restore_backup(tmp_path / "backup.tar.gz", tmp_path / "restored")
    async with open_in(tmp_path / "restored") as restored:
        after = await restored.table()
        assert after.pop("generation") > before.pop("generation"), "a new epoch"
        assert after.pop("signature") != before.pop("signature")
        assert after == before
        assert (await restored.ask("GET", "/v1/whoami", token=token)).json()["name"] == "alice"
        assert (await restored.heartbeat(1)).status_code == 200
        assert (await restored.heartbeat(2)).status_code == 401


async def test_nothing_is_written_over(api: Any, tmp_path: Path) -> None:
    save_backup(tmp_path, tmp_path / "backup.tar.gz")
    with pytest.raises(BackupError, match="exists"):
        save_backup(tmp_path, tmp_path / "backup.tar.gz")
    with pytest.raises(BackupError, match="has a database"):
        restore_backup(tmp_path / "backup.tar.gz", tmp_path)
    (tmp_path / "other").write_bytes(b"no archive")
    with pytest.raises(BackupError, match="other"):
        restore_backup(tmp_path / "other", tmp_path / "new")
    assert not (tmp_path / "new").exists()
