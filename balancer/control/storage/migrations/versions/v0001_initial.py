"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "vip",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("v4", sa.String(15)),
        sa.Column("v6", sa.String(45)),
        sa.Column("service_port", sa.Integer, nullable=False),
        sa.Column("locator", sa.String(16), nullable=False),
        sa.Column("id_port_base", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_vip"),
        sa.UniqueConstraint("v4", name="uq_vip_v4"),
        sa.UniqueConstraint("v6", name="uq_vip_v6"),
    )
    op.create_table(
        "edge",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("tunnel_v4", sa.String(15)),
        sa.Column("tunnel_v6", sa.String(45)),
        sa.Column("vip_name", sa.String(63), nullable=False),
        sa.Column("credential_sha256", sa.String(64), nullable=False),
        sa.Column("admin_state", sa.String(16), nullable=False),
        sa.Column("alive", sa.Boolean, nullable=False),
        sa.Column("enrolled_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_edge"),
        sa.ForeignKeyConstraint(["vip_name"], ["vip.name"], name="fk_edge_vip_name_vip"),
        sa.UniqueConstraint("name", name="uq_edge_name"),
        sa.UniqueConstraint("tunnel_v4", name="uq_edge_tunnel_v4"),
        sa.UniqueConstraint("tunnel_v6", name="uq_edge_tunnel_v6"),
        sa.UniqueConstraint("credential_sha256", name="uq_edge_credential_sha256"),
    )
    op.create_table(
        "freed_id",
        sa.Column("edge_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("freed_at", sa.DateTime, nullable=False),
        sa.Column("credential_sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("edge_id", name="pk_freed_id"),
    )
    op.create_index("ix_freed_id_credential_sha256", "freed_id", ["credential_sha256"])
    op.create_table(
        "enrolment_token",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("edge_name", sa.String(63)),
        sa.Column("edge_id", sa.Integer),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.Column("used_at", sa.DateTime),
        sa.Column("used_by_sha256", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_enrolment_token"),
        sa.UniqueConstraint("token_sha256", name="uq_enrolment_token_token_sha256"),
    )
    op.create_table(
        "forwarding_table",
        sa.Column("generation", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("published_at", sa.DateTime, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("generation", name="pk_forwarding_table"),
    )
    op.create_table(
        "transition",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("edge_id", sa.Integer, nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("detail", sa.String(200), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transition"),
    )
    op.create_index("ix_transition_edge_id", "transition", ["edge_id"])


def downgrade() -> None:
    for table in ("transition", "forwarding_table", "enrolment_token", "freed_id", "edge", "vip"):
        op.drop_table(table)
