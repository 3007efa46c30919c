"""Alembic's entry: one connection, one transaction for all steps."""

from alembic import context
from sqlalchemy import create_engine

from balancer.control.records import Record

engine = create_engine(context.config.attributes["url"])
with engine.begin() as connection:
    context.configure(connection=connection, target_metadata=Record.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
