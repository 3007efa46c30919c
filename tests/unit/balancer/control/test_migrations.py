"""Migrations: up and down on both databases, with what was stored, and what they lead to is what the records say."""

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from balancer.control.app import open_plane
from balancer.control.clock import SystemClock
from balancer.control.rules import ControlRules
from balancer.control.storage.database import database_url, migrate_schema
from balancer.control.storage.records import Record

OLD = [
    "INSERT INTO vip VALUES ('main', '203.0.113.1', NULL, 443, 'port', 10000)",
    "INSERT INTO edge VALUES (1, 'edge1', 'a', '10.255.0.1', NULL, 'main', 'ab', 'draining', TRUE, "
    "'2026-01-01 00:00:00')",
    "INSERT INTO freed_id VALUES (2, '2026-01-01 00:00:00', 'cd')",
    'INSERT INTO forwarding_table VALUES (7, \'2026-01-01 00:00:00\', \'{"generation": 7, "vips": '
    '[{"name": "main", "v4": "203.0.113.1", "v6": null, "service_port": 443, "locator": "port", '
    '"id_port_base": 10000}], "edges": [{"id": 1, "name": "edge1", "tunnel_v4": "10.255.0.1", '
    '"tunnel_v6": null, "state": "draining"}]}\')',
]


@pytest.fixture
def url(tmp_path: Path, request: pytest.FixtureRequest, database: str | None) -> Any:
    """An empty database, where `database` has the schema already."""
    if database is None:
        return database_url(tmp_path, None)
    return database_url(tmp_path, request.getfixturevalue("cluster").database())


def test_the_migrations_lead_to_what_the_records_say(url: Any) -> None:
    migrate_schema(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True}), Record.metadata
        )
    engine.dispose()
    assert differences == []


def test_what_the_first_schema_held_is_there_after_the_last_and_back_again(url: Any) -> None:
    migrate_schema(url)
    migrate_schema(url, "0001")
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in OLD:
            connection.exec_driver_sql(statement)
    migrate_schema(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name, site, revision FROM edge")).all() == [("edge1", "a", 0)]
        assert connection.execute(text("SELECT name FROM site")).all() == [("a",)]
        assert connection.execute(text("SELECT generation FROM generation")).all() == [(7,)]
        kinds = connection.execute(text("SELECT kind, key FROM published ORDER BY kind")).all()
        assert kinds == [("edge", "1"), ("vip", "main")]
        assert connection.execute(text("SELECT edge_id, removed_generation FROM freed_id")).all() == [(2, 0)]
    migrate_schema(url, "0001")
    with engine.connect() as connection:
        (table,) = connection.execute(text("SELECT content FROM forwarding_table")).all()
        assert "draining" in str(table)
        assert connection.execute(text("SELECT name FROM edge")).all() == [("edge1",)]
    migrate_schema(url, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    engine.dispose()


async def test_a_control_plane_starts_on_a_database_from_before_tables_were_signed(tmp_path: Path) -> None:
    url = database_url(tmp_path, None)
    migrate_schema(url)
    migrate_schema(url, "0001")
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in OLD:
            connection.exec_driver_sql(statement)
    engine.dispose()
    async with open_plane(tmp_path, "a" * 24, ControlRules(), SystemClock(), None) as plane:
        assert plane.watch.generation >= 7
    async with open_plane(tmp_path, "a" * 24, ControlRules(), SystemClock(), None) as again:
        assert again.watch.live.public_key == plane.watch.live.public_key
