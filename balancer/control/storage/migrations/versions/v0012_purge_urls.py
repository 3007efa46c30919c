"""URLs of purges may be as long as a request's target, with a scheme and a host before it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    with op.batch_alter_table("purge", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.alter_column("url", type_=sa.String(8464))


def downgrade() -> None:
    with op.batch_alter_table("purge", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.alter_column("url", type_=sa.String(2048))
