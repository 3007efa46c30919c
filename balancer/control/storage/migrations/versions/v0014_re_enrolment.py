"""Enrolment tokens that give an existing edge a new credential."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    column = sa.Column("replaces", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("enrolment_token", column)


def downgrade() -> None:
    with op.batch_alter_table("enrolment_token") as batch:
        batch.drop_column("replaces")
