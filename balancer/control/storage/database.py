"""Which database: SQLite in the state folder, or PostgreSQL by URL, where several instances may share one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

MIGRATIONS = Path(__file__).parent / "migrations"
DATABASE = "control.sqlite"
# no statement outlives what a request may take; whoever waits for another's change waits no longer either
PATIENCE = "-c statement_timeout=10000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=30000"


def url_of(state: Path, database: str | None) -> URL:
    """The SQLAlchemy URL; ValueError for a database that is neither."""
    if database is None:
        return URL.create("sqlite", database=str(state / DATABASE))
    url = make_url(database)
    if url.get_backend_name() != "postgresql":
        raise ValueError("database: must start with postgresql://")
    return url.set(drivername="postgresql+psycopg")


def migrate(url: URL, revision: str = "head") -> None:
    """Bring the database to the newest schema, making it where there is none; or down to an older one."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    (command.upgrade if revision == "head" else command.downgrade)(config, revision)


def engine(url: URL) -> AsyncEngine:
    """Open the database, durably: what is committed outlives the machine."""
    if url.get_backend_name() == "postgresql":
        arguments: Mapping[str, Any] = {"options": PATIENCE, "connect_timeout": 5}
        return create_async_engine(url, pool_pre_ping=True, pool_size=10, connect_args=dict(arguments))
    made = create_async_engine(url.set(drivername="sqlite+aiosqlite"))

    @event.listens_for(made.sync_engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return made
