"""Alembic's entry: one connection, one transaction for all steps, one instance at a time."""

from alembic import context
from sqlalchemy import create_engine, text

from balancer.control.storage.records import Record

ONE_AT_A_TIME = 0x5E4417

engine = create_engine(context.config.attributes["url"])
with engine.begin() as connection:
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ONE_AT_A_TIME})"))
    context.configure(connection=connection, target_metadata=Record.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
