"""Purges."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "purge",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("url", sa.String(2048)),
        sa.Column("tag", sa.String(128)),
        sa.PrimaryKeyConstraint("id", name="pk_purge"),
        sqlite_autoincrement=True,  # an id is never used again, also when the newest was dropped
    )


def downgrade() -> None:
    op.drop_table("purge")
