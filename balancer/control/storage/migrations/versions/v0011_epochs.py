"""Ids of purges and Fast Open keys have 64 bits, for their epoch."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite's integers have 64 bits
        for table in ("purge", "fast_open_key"):
            op.alter_column(table, "id", type_=sa.BigInteger)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in ("purge", "fast_open_key"):
            op.alter_column(table, "id", type_=sa.Integer)
