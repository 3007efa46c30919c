"""Errors of the database are refusals: a value that cannot be stored is 422, a locked database is 503."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

NUL = "a\0b"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/sites", {"name": "b", "description": NUL}),
        ("POST", "/v1/purges", {"url": "https://cdn.example/", "reason": NUL}),
        ("POST", "/v1/enrolment-tokens", {"note": NUL}),
        ("POST", "/v1/fast-open-keys", {"reason": NUL}),
        ("PUT", "/v1/freeze", {"reason": NUL}),
        ("PATCH", "/v1/edges/1", {"admin_state": "draining", "reason": NUL}),
        ("PUT", "/v1/edges/1/lease", {"health": "down", "reasons": ["a", NUL]}),
        ("GET", "/v1/sites/a%00b", None),
        ("GET", "/v1/vips?after=a%00b", None),
        ("DELETE", "/v1/vips/%00", None),
    ],
)
async def test_nul_is_refused_with_the_field(api: Any, method: str, path: str, body: Any) -> None:
    await api.enrol(1)
    answer = await api.ask(method, path, body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"]


@pytest.mark.parametrize("database", [None])
async def test_a_locked_database_is_to_be_asked_again(api: Any, tmp_path: Path, database: None) -> None:
    async with api.plane.store.engine.connect() as connection:
        await connection.execute(text("PRAGMA busy_timeout = 50"))
    other = sqlite3.connect(tmp_path / "control.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = await api.ask("POST", "/v1/sites", {"name": "b"})
    other.execute("ROLLBACK")
    other.close()
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:sennit:problem:database-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await api.ask("POST", "/v1/sites", {"name": "b"})).status_code == 201
