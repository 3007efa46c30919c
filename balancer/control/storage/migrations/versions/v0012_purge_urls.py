"""URLs of purges may be as long as a request's target, with a scheme and a host before it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite does not bound text
        op.alter_column("purge", "url", type_=sa.String(8464))


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("purge", "url", type_=sa.String(2048))
