"""Purges by prefix, host and service, of everything, and soft ones."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
TEXTS = {"prefix": 8464, "host": 255, "service": 63}
FLAGS = ("everything", "soft")


def upgrade() -> None:
    for name, length in TEXTS.items():
        op.add_column("purge", sa.Column(name, sa.String(length)))
    for name in FLAGS:
        op.add_column("purge", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("purge", table_kwargs={"sqlite_autoincrement": True}) as batch:
        for name in (*TEXTS, *FLAGS):
            batch.drop_column(name)
