"""A control plane that dies in the middle of an activation: one revision or the other, with its own hostnames."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def database() -> None:
    """SQLite: this is about its files."""


def in_force(database: Path) -> tuple[int | None, list[str], int]:
    """Return the active revision, the hostnames of the service, and how many generations were published."""
    connection = sqlite3.connect(database)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    (active,) = connection.execute("SELECT active FROM service").fetchone() or (None,)
    names = [
        name for (name,) in connection.execute("SELECT hostname FROM service_hostname ORDER BY hostname")
    ]
    (generations,) = connection.execute("SELECT count(*) FROM service_generation").fetchone()
    if active is not None:
        query = "SELECT document FROM service_revision WHERE number = ?"
        (document,) = connection.execute(query, (active,)).fetchone()
        assert names == sorted(json.loads(document)["hostnames"])
    connection.close()
    return active, names, generations


async def test_the_log_cut_off_anywhere_leaves_one_revision_whole(
    api: Any, tmp_path: Path, add_service: Any, activate: Any
) -> None:
    emptied = sqlite3.connect(tmp_path / "control.sqlite")
    assert emptied.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    emptied.close()
    for number in range(1, 5):
        hostnames = [f"{number}.example", f"www{number}.example"]
        assert (await activate("shop", await add_service(hostnames=hostnames))).status_code == 200
    whole = (tmp_path / "control.sqlite-wal").read_bytes()
    database = (tmp_path / "control.sqlite").read_bytes()
    frame = 24 + int.from_bytes(whole[8:12], "big")  # of the log: header and page
    seen = set()
    for boundary in range(32, len(whole) + 1, frame):
        for end in (boundary, boundary + 24 + frame // 2):
            target = tmp_path / "cut"
            target.mkdir()
            (target / "control.sqlite").write_bytes(database)
            (target / "control.sqlite-wal").write_bytes(whole[:end])
            active, _, generations = in_force(target / "control.sqlite")
            assert generations == (active or 0), "published is what is active, in one transaction"
            seen.add(active)
            shutil.rmtree(target)
    assert seen == {None, 1, 2, 3, 4}
