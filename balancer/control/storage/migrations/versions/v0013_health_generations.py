"""Whether a generation was caused by health alone: those do not displace the generations of operators."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    column = sa.Column("by_health", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("generation", column)


def downgrade() -> None:
    with op.batch_alter_table("generation") as batch:
        batch.drop_column("by_health")
