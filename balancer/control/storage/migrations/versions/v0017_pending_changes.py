"""Keys and outside addresses of agents, and what edges report that no operator has accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
COLUMNS = ("outside", "peer_key", "pending")


def upgrade() -> None:
    op.add_column("edge", sa.Column("outside", sa.String(45)))
    op.add_column("edge", sa.Column("peer_key", sa.String(44)))
    op.add_column("edge", sa.Column("pending", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    with op.batch_alter_table("edge") as batch:
        for name in COLUMNS:
            batch.drop_column(name)
