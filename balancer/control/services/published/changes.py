"""Which services a change of the database publishes anew."""

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncSession

_KEY = "published services"


def publish_service(session: AsyncSession, name: str) -> None:
    """Publish a service as it is when the change ends."""
    session.info.setdefault(_KEY, set()).add(name)


def begin_generation(session: AsyncSession) -> None:
    """Publish a new generation though no service changes: edges have newer ones than the database."""
    session.info.setdefault(_KEY, set())


def changed_services(session: AsyncSession) -> Collection[str] | None:
    """Return the services to publish; None: no generation begins."""
    found: set[str] | None = session.info.get(_KEY)
    return set() if found is None and session.info.get("epoch") else found
