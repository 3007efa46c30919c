"""Services: revisions, hostnames, secrets, and the generations in which they are published."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
TABLES = ("service_generation", "service_rollout", "service_secret", "service_hostname", "service_revision")


def upgrade() -> None:
    op.create_table(
        "service",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("newest", sa.Integer),
        sa.Column("active", sa.Integer),
        sa.Column("previous", sa.Integer),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_service"),
    )
    op.create_index("ix_service_revision", "service", ["revision"])
    op.create_table(
        "service_revision",
        sa.Column("service", sa.String(63), nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.Column("activated_at", sa.DateTime),
        sa.PrimaryKeyConstraint("service", "number", name="pk_service_revision"),
        _of_service("service_revision"),
    )
    op.create_table(
        "service_hostname",
        sa.Column("hostname", sa.String(255), nullable=False),
        sa.Column("service", sa.String(63), nullable=False),
        sa.PrimaryKeyConstraint("hostname", name="pk_service_hostname"),
        _of_service("service_hostname"),
    )
    op.create_index("ix_service_hostname_service", "service_hostname", ["service"])
    op.create_table(
        "service_rollout",
        sa.Column("service", sa.String(63), nullable=False),
        sa.Column("candidate", sa.Integer, nullable=False),
        sa.Column("stages", sa.JSON, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("dwell_seconds", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("why", sa.String(300), nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("started_by", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("service", name="pk_service_rollout"),
        _of_service("service_rollout"),
    )
    op.create_table(
        "service_secret",
        sa.Column("service", sa.String(63), nullable=False),
        sa.Column("key", sa.String(63), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.Column("changed_by", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("service", "key", name="pk_service_secret"),
        _of_service("service_secret"),
    )
    op.create_table(
        "service_generation",
        sa.Column("generation", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("published_at", sa.DateTime, nullable=False),
        sa.Column("services", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("generation", name="pk_service_generation"),
    )


def _of_service(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["service"], ["service.name"], name=f"fk_{table}_service_service")


def downgrade() -> None:
    for table in (*TABLES, "service"):
        op.drop_table(table)
