"""Generations as changes, the published table entry by entry, the pin; freed ids wait for an acknowledged removal."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    generation = op.create_table(
        "generation",
        sa.Column("generation", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("published_at", sa.DateTime, nullable=False),
        sa.Column("changes", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("generation", name="pk_generation"),
    )
    published = op.create_table(
        "published",
        sa.Column("kind", sa.String(4), nullable=False),
        sa.Column("key", sa.String(63), nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_published"),
    )
    old = sa.table(
        "forwarding_table",
        sa.column("generation", sa.Integer),
        sa.column("published_at", sa.DateTime),
        sa.column("content", sa.JSON),
    )
    newest = sa.select(old).order_by(old.c.generation.desc()).limit(1)
    for number, at, content in op.get_bind().execute(newest).all():
        op.bulk_insert(generation, [{"generation": number, "published_at": at, "changes": []}])
        rows = [{"kind": "vip", "key": vip["name"], "content": vip} for vip in content["vips"]]
        rows += [{"kind": "edge", "key": str(edge["id"]), "content": edge} for edge in content["edges"]]
        op.bulk_insert(published, rows)
    op.drop_table("forwarding_table")
    op.create_table(
        "pin",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("who", sa.String(80), nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pin"),
    )
    op.create_index("ix_pin_revision", "pin", ["revision"])
    op.add_column("freed_id", sa.Column("removed_generation", sa.BigInteger))
    op.add_column("freed_id", sa.Column("acknowledged_at", sa.DateTime))
    op.execute("UPDATE freed_id SET removed_generation = 0, acknowledged_at = freed_at")


def downgrade() -> None:
    """Keeps the published table; what led to it, a pin and acknowledgements are lost."""
    bind = op.get_bind()
    forwarding_table = op.create_table(
        "forwarding_table",
        sa.Column("generation", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("published_at", sa.DateTime, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("generation", name="pk_forwarding_table"),
    )
    generation = sa.table(
        "generation", sa.column("generation", sa.BigInteger), sa.column("published_at", sa.DateTime)
    )
    published = sa.table("published", sa.column("kind"), sa.column("content", sa.JSON))
    rows = bind.execute(sa.select(published.c.kind, published.c.content)).all()
    content = {
        "vips": [row.content for row in rows if row.kind == "vip"],
        "edges": sorted((row.content for row in rows if row.kind == "edge"), key=lambda edge: edge["id"]),
    }
    newest = sa.select(generation).order_by(generation.c.generation.desc()).limit(1)
    for number, at in bind.execute(newest).all():
        whole = {"generation": number, **content}
        bind.execute(forwarding_table.insert().values(generation=number, published_at=at, content=whole))
    with op.batch_alter_table("freed_id") as batch:
        batch.drop_column("removed_generation")
        batch.drop_column("acknowledged_at")
    for table in ("pin", "published", "generation"):
        op.drop_table(table)
