"""Leases that several instances share; lost in a crash of the database, for they are good for seconds only."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("edge_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("instance", sa.String(32), nullable=False),
        sa.Column("heard_at", sa.Double, nullable=False),
        sa.Column("heartbeat", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("edge_id", name="pk_lease"),
        prefixes=["UNLOGGED"] if op.get_context().dialect.name == "postgresql" else [],
    )
    op.create_index("ix_lease_heard_at", "lease", ["heard_at"])


def downgrade() -> None:
    op.drop_table("lease")
