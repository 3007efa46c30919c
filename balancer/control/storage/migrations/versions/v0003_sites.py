"""Sites; those that edges name already exist."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "site",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("description", sa.String(200), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_site"),
    )
    op.create_index("ix_site_revision", "site", ["revision"])
    op.execute("INSERT INTO site (name, description, revision) SELECT DISTINCT site, '', 0 FROM edge")
    with op.batch_alter_table("edge") as batch:
        batch.create_foreign_key("fk_edge_site_site", "site", ["site"], ["name"])
    op.create_index("ix_edge_site", "edge", ["site"])


def downgrade() -> None:
    op.drop_index("ix_edge_site", "edge")
    with op.batch_alter_table("edge") as batch:
        batch.drop_constraint("fk_edge_site_site", type_="foreignkey")
    op.drop_index("ix_site_revision", "site")
    op.drop_table("site")
