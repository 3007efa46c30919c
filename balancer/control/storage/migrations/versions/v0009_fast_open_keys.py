"""The fleet's TCP Fast Open keys."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "fast_open_key",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fast_open_key"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("fast_open_key")
