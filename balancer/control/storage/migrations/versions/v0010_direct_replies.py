"""How replies on forwarded subflows of a VIP leave."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("vip", sa.Column("replies", sa.String(16), nullable=False, server_default="symmetric"))


def downgrade() -> None:
    with op.batch_alter_table("vip") as batch:
        batch.drop_column("replies")
