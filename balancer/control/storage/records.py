"""The stored records (SQLAlchemy 2). Leases live in memory; only their transitions are stored."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    String,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# ids with an epoch; SQLite generates ids for the type INTEGER only, which holds 64 bits
LongId = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """A time stored and read as UTC, since SQLite does not store the zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


class Record(DeclarativeBase):
    """Base of all records."""

    metadata = MetaData(naming_convention=CONVENTION)
    type_annotation_map = {  # noqa: RUF012
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[dict[str, Any]]: JSON,
        list[str]: JSON,
    }


class Revised:
    """A record with the number of the last change that touched it: its ETag, and how other instances find changes."""

    revision: Mapped[int] = mapped_column(BigInteger, index=True)


class CounterRecord(Record):
    """The number of the last change. Every change increments it first, which serialises changes."""

    __tablename__ = "counter"
    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class VipRecord(Revised, Record):
    """A VIP."""

    __tablename__ = "vip"
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    v4: Mapped[str | None] = mapped_column(String(15), unique=True)
    v6: Mapped[str | None] = mapped_column(String(45), unique=True)
    service_port: Mapped[int]
    locator: Mapped[str] = mapped_column(String(16))
    id_port_base: Mapped[int]
    replies: Mapped[str] = mapped_column(String(16))


class SiteRecord(Revised, Record):
    """Edges behind one router."""

    __tablename__ = "site"
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    description: Mapped[str] = mapped_column(String(200))
    ring: Mapped[bool]  # whether the router may send any packet to any of its edges


class EdgeRecord(Revised, Record):
    """An enrolled edge."""

    __tablename__ = "edge"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    site: Mapped[str] = mapped_column(ForeignKey("site.name"), index=True)
    tunnel_v4: Mapped[str | None] = mapped_column(String(15), unique=True)
    tunnel_v6: Mapped[str | None] = mapped_column(String(45), unique=True)
    outside: Mapped[str | None] = mapped_column(String(45))  # where peers ask its agent beside the backbone
    peer_key: Mapped[str | None] = mapped_column(String(44))  # verifies its agent's answers; base64
    pending: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # reported, not accepted
    vip_name: Mapped[str] = mapped_column(ForeignKey("vip.name"))
    credential_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    admin_state: Mapped[str] = mapped_column(String(16))
    weight: Mapped[int]  # its share of the site's first subflows
    encapsulation: Mapped[str] = mapped_column(String(8))  # of tunnels to it
    alive: Mapped[bool]  # whether it held a lease and was not down, at the last transition
    enrolled_at: Mapped[datetime]


class LeaseRecord(Record):
    """The newest heartbeat of an edge, for other instances on the same database; unused with SQLite."""

    __tablename__ = "lease"
    edge_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    instance: Mapped[str] = mapped_column(String(32))
    heard_at: Mapped[float] = mapped_column(Double, index=True)  # the database's clock, seconds since 1970
    heartbeat: Mapped[dict[str, Any]]


class FreedIdRecord(Record):
    """An id that belonged to an edge and may not be given again for a while."""

    __tablename__ = "freed_id"
    edge_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    freed_at: Mapped[datetime]
    removed_generation: Mapped[int | None] = mapped_column(BigInteger)  # the first table without it
    acknowledged_at: Mapped[datetime | None]  # when every live forwarder had that table
    credential_sha256: Mapped[str] = mapped_column(String(64), index=True)


class TokenRecord(Revised, Record):
    """A named token with a role, of which only the hash is kept."""

    __tablename__ = "token"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), index=True)
    role: Mapped[str] = mapped_column(String(16))
    edge_id: Mapped[int | None]
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(63))
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    def usable(self, now: datetime) -> bool:
        """Return whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class LoginRecord(Record):
    """A login of the page: which token its cookie stands for."""

    __tablename__ = "login"
    cookie_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    token_sha256: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime]


class AuditRecord(Record):
    """One entry of the audit log: who changed what, and why."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(80))
    role: Mapped[str] = mapped_column(String(16))
    what: Mapped[str] = mapped_column(String(32))
    target: Mapped[str] = mapped_column(String(120))
    detail: Mapped[str] = mapped_column(String(200))
    why: Mapped[str] = mapped_column(String(200))


class EnrolmentTokenRecord(Record):
    """A one-time token, of which only the hash is kept."""

    __tablename__ = "enrolment_token"
    id: Mapped[int] = mapped_column(primary_key=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    note: Mapped[str] = mapped_column(String(200))
    edge_name: Mapped[str | None] = mapped_column(String(63))
    edge_id: Mapped[int | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_by_sha256: Mapped[str | None] = mapped_column(String(64))
    replaces: Mapped[bool]  # gives an existing edge a new credential


class GenerationRecord(Record):
    """One generation of the forwarding table: what it changed."""

    __tablename__ = "generation"
    generation: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    published_at: Mapped[datetime]
    changes: Mapped[list[dict[str, Any]]]
    by_health: Mapped[bool]  # only liveness changed; otherwise an operator or an enrolment did


class PublishedRecord(Record):
    """One entry of the newest generation."""

    __tablename__ = "published"
    kind: Mapped[str] = mapped_column(String(4), primary_key=True)
    key: Mapped[str] = mapped_column(String(63), primary_key=True)
    content: Mapped[dict[str, Any]]


class PinRecord(Revised, Record):
    """The table that is held while anything but liveness changes; no row: none."""

    __tablename__ = "pin"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    generation: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(80))
    why: Mapped[str] = mapped_column(String(200))
    content: Mapped[list[dict[str, Any]]]


class TableKeyRecord(Record):
    """The public half of a key that signs tables: 1 is in use, 2 follows it while a rotation is under way."""

    __tablename__ = "table_key"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    public_key: Mapped[bytes]


class TableKeyLinkRecord(Record):
    """A key that signs tables, and the one that follows it, signed with the former."""

    __tablename__ = "table_key_link"
    id: Mapped[int] = mapped_column(primary_key=True)
    before: Mapped[bytes]
    after: Mapped[bytes]
    signature: Mapped[bytes]


class FastOpenKeyRecord(Record):
    """A TCP Fast Open key of the fleet. Edges need the key itself, so no hash will do."""

    __tablename__ = "fast_open_key"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012
    id: Mapped[int] = mapped_column(LongId, primary_key=True)
    at: Mapped[datetime]
    key: Mapped[str] = mapped_column(String(32))


class PurgeRecord(Record):
    """One purge: what edges must drop from their caches."""

    __tablename__ = "purge"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012
    id: Mapped[int] = mapped_column(LongId, primary_key=True)
    at: Mapped[datetime]
    url: Mapped[str | None] = mapped_column(String(8464))
    tag: Mapped[str | None] = mapped_column(String(128))
    prefix: Mapped[str | None] = mapped_column(String(8464))
    host: Mapped[str | None] = mapped_column(String(255))
    service: Mapped[str | None] = mapped_column(String(63))
    everything: Mapped[bool] = mapped_column(default=False)
    soft: Mapped[bool] = mapped_column(default=False)


class TransitionRecord(Record):
    """A change of an edge's state, and its cause."""

    __tablename__ = "transition"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    edge_id: Mapped[int] = mapped_column(index=True)
    what: Mapped[str] = mapped_column(String(32))
    detail: Mapped[str] = mapped_column(String(200))
    by: Mapped[str] = mapped_column(String(64))


class ServiceRecord(Revised, Record):
    """A service: what a customer puts on the CDN. Its documents are in its revisions."""

    __tablename__ = "service"
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    created_at: Mapped[datetime]
    newest: Mapped[int | None]  # the newest revision's number
    active: Mapped[int | None]  # the active revision's number
    previous: Mapped[int | None]  # the one that was active before


class ServiceRevisionRecord(Record):
    """A revision: its document never changes."""

    __tablename__ = "service_revision"
    service: Mapped[str] = mapped_column(ForeignKey("service.name"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(80))
    why: Mapped[str] = mapped_column(String(200))
    activated_at: Mapped[datetime | None]  # the last time; None: a draft


class ServiceHostnameRecord(Record):
    """A host name, or a wildcard, of a revision that is in force at any edge: one service has it."""

    __tablename__ = "service_hostname"
    hostname: Mapped[str] = mapped_column(String(255), primary_key=True)
    service: Mapped[str] = mapped_column(ForeignKey("service.name"), index=True)


class ServiceRolloutRecord(Record):
    """The last rollout of a service: which revision it brings, and how far it has come."""

    __tablename__ = "service_rollout"
    service: Mapped[str] = mapped_column(ForeignKey("service.name"), primary_key=True)
    candidate: Mapped[int]
    stages: Mapped[list[dict[str, Any]]]
    position: Mapped[int]  # the stage under way
    dwell_seconds: Mapped[float] = mapped_column(Double)
    state: Mapped[str] = mapped_column(String(16))
    why: Mapped[str] = mapped_column(String(300))
    started_at: Mapped[datetime]
    started_by: Mapped[str] = mapped_column(String(80))


class ServiceSecretRecord(Record):
    """A secret of a service, encrypted with a key that is not in the database."""

    __tablename__ = "service_secret"
    service: Mapped[str] = mapped_column(ForeignKey("service.name"), primary_key=True)
    key: Mapped[str] = mapped_column(String(63), primary_key=True)
    sealed: Mapped[bytes]
    changed_at: Mapped[datetime]
    changed_by: Mapped[str] = mapped_column(String(80))


class ServiceGenerationRecord(Record):
    """One generation of the published services: the names of those that it changed."""

    __tablename__ = "service_generation"
    generation: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    published_at: Mapped[datetime]
    services: Mapped[list[str]]
