"""Sessions on the database: one change at a time across all instances, each durable before it is answered."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import URL, event, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from balancer.control.clock import Clock
from balancer.control.storage.database import create_engine
from balancer.control.storage.records import CounterRecord, Revised


class StateInUse(Exception):
    """Another control plane uses this state folder."""


# stores what a change publishes; returns what announces it once it is committed
Publisher = Callable[[AsyncSession], Awaitable[Callable[[], None] | None]]


class Store:
    """Sessions on the database. `publishers` run inside every change, before it is committed, in this order."""

    def __init__(self, state: Path, url: URL, clock: Clock) -> None:
        self._lock_file = _lock_state(state)
        self.engine = create_engine(url)
        self.shared = url.get_backend_name() != "sqlite"  # whether other instances may work on it too
        self._sessions = async_sessionmaker(
            self.engine, expire_on_commit=False, sync_session_class=RevisingSession
        )
        self._writer = asyncio.Lock()
        self.clock = clock
        self.committed: Callable[[Mapping[object, bool]], None] | None = None
        self.publishers: Sequence[Publisher] = ()

    def now(self) -> datetime:
        """Return the time with which changes are stored."""
        return self.clock.now()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Read a consistent state."""
        async with self._sessions() as session:
            yield session

    @asynccontextmanager
    async def change(self) -> AsyncIterator[AsyncSession]:
        """Change the state: committed with the resulting table when the block ends without an exception."""
        async with self._writer, self._sessions() as session:
            session.info["revision"] = await _next_revision(session)
            yield session
            await session.flush()
            announcements = [await publish(session) for publish in self.publishers]
            await session.commit()
            if self.committed:
                self.committed(session.info.get("touched", {}))
            for announce in filter(None, announcements):
                announce()

    async def close(self) -> None:
        """Close the connections and unlock the state folder."""
        await self.engine.dispose()
        os.close(self._lock_file)


class RevisingSession(Session):
    """Stamps what it stores with the number of the change."""


@event.listens_for(RevisingSession, "before_flush")
def _stamp_revision(session: Session, *_: object) -> None:
    """Stamp the records, and note for the publisher which are stored (True) and which deleted (False)."""
    touched: dict[object, bool] = session.info.setdefault("touched", {})
    for record in {*session.new, *session.dirty}:
        if isinstance(record, Revised) and session.is_modified(record):
            record.revision = session.info["revision"]
            touched[record] = True
    touched.update(dict.fromkeys(session.deleted, False))


async def _next_revision(session: AsyncSession) -> int:
    """Number this change. Every other change waits here until this one is committed."""
    query = update(CounterRecord).where(CounterRecord.name == "revision")
    raised = query.values(value=CounterRecord.value + 1).returning(CounterRecord.value)
    return (await session.scalars(raised)).one()


def _lock_state(state: Path) -> int:
    descriptor = os.open(state / "control.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StateInUse(f"another control plane uses {state}: stop it, or give another folder") from None
    return descriptor
