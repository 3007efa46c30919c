"""Signed links between the keys that sign tables, for nodes that know an earlier one."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "table_key_link",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("before", sa.LargeBinary(32), nullable=False),
        sa.Column("after", sa.LargeBinary(32), nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_table_key_link"),
    )


def downgrade() -> None:
    op.drop_table("table_key_link")
    op.execute("DELETE FROM table_key WHERE id <> 1")
