"""Rings of sites with their edges' weights, and what tunnels to an edge look like."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
ADDED = (
    ("site", sa.Column("ring", sa.Boolean, nullable=False, server_default=sa.false())),
    ("edge", sa.Column("weight", sa.Integer, nullable=False, server_default="1")),
    ("edge", sa.Column("encapsulation", sa.String(8), nullable=False, server_default="ipip")),
)


def upgrade() -> None:
    for table, column in ADDED:
        op.add_column(table, column)


def downgrade() -> None:
    op.execute("DELETE FROM published WHERE kind = 'site'")
    for table, column in ADDED:
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column.name)
