"""The public half of the key that signs tables: every instance on this database must have the same.

Without a row, as after this migration, the first start decides which it is: its key file, or a new one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "table_key",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("public_key", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_table_key"),
    )


def downgrade() -> None:
    op.drop_table("table_key")
