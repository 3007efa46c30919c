"""Which database: SQLite in the state folder, or PostgreSQL by URL, where several instances may share one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

MIGRATIONS = Path(__file__).parent / "migrations"
DATABASE = "control.sqlite"
SIGNING_KEY = "table-signing.key"  # beside the database, in the state folder
NEXT_SIGNING_KEY = "table-signing.next.key"  # during a rotation
UNUSED_SIGNING_KEY = "table-signing.unused.key"  # what stood in the place of a lost one
# no statement, and no wait for another change, takes longer than a request may
TIMEOUT_OPTIONS = (
    "-c statement_timeout=10000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=30000"
)


class UnknownSchema(Exception):
    """The database has a schema that this release does not know: a newer release has migrated it."""


def database_url(state: Path, database: str | None) -> URL:
    """Return the SQLAlchemy URL; ValueError for a database that is neither."""
    if database is None:
        return URL.create("sqlite", database=str(state / DATABASE))
    url = make_url(database)
    if url.get_backend_name() != "postgresql":
        raise ValueError("database: must start with postgresql://")
    return url.set(drivername="postgresql+psycopg")


def migrate_schema(url: URL, revision: str = "head") -> None:
    """Migrate the database to the newest schema, creating it if it does not exist; or down to an older schema.

    Raises `UnknownSchema`.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    try:
        (command.upgrade if revision == "head" else command.downgrade)(config, revision)
    except CommandError as error:
        raise UnknownSchema(f"the database is of a newer release than this one: {error}") from None


def create_engine(url: URL) -> AsyncEngine:
    """Open the database with durable commits."""
    if url.get_backend_name() == "postgresql":
        arguments: Mapping[str, Any] = {"options": TIMEOUT_OPTIONS, "connect_timeout": 5}
        return create_async_engine(url, pool_pre_ping=True, pool_size=10, connect_args=dict(arguments))
    made = create_async_engine(url.set(drivername="sqlite+aiosqlite"))

    @event.listens_for(made.sync_engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return made
