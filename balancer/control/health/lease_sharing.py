"""Instances on one PostgreSQL exchange the heartbeats that they received: once a second, all in one statement.

Each instance then knows nearly all heartbeats. An instance that cannot share its own answers no heartbeats, so that
its edges use another instance. One instance leads, and holds a lock in the database for it: it gives withdrawal
grants, of which two would each spend the whole budget, and moves rollouts.
"""

import secrets

from sqlalchemy import Double, cast, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from balancer.api.schemas import LeaseRequest
from balancer.control.clock import Clock
from balancer.control.storage.records import LeaseRecord

# rows in one statement: it blocks the event loop for some milliseconds, but few statements are needed when a whole
# fleet starts at once
ROWS_PER_STATEMENT = 2000
GRANT_LOCK = 0x5E4418  # the advisory lock of the instance that gives grants
# columns as arrays: a statement whose text is the same for any number of rows
SHARE_HEARTBEATS = text(
    """
    INSERT INTO lease (edge_id, instance, heard_at, heartbeat)
    SELECT edge_id, :instance, heard_at, heartbeat::json
    FROM unnest(CAST(:edge_ids AS integer[]), CAST(:heard_at AS double precision[]), CAST(:heartbeats AS text[]))
      AS received (edge_id, heard_at, heartbeat)
    ON CONFLICT (edge_id) DO UPDATE
    SET instance = excluded.instance, heard_at = excluded.heard_at, heartbeat = excluded.heartbeat
    WHERE excluded.heard_at > lease.heard_at
    """
)
_now = cast(func.extract("epoch", func.clock_timestamp()), Double)


class LeaseSharing:
    """Heartbeats that this instance has not shared yet, and when it last received others' heartbeats."""

    def __init__(self, engine: AsyncEngine, clock: Clock, lease_seconds: float) -> None:
        self._engine = engine
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._timeout = lease_seconds / 3
        self._instance = secrets.token_hex(8)
        self._unshared: dict[int, tuple[float, LeaseRequest]] = {}
        self._received: dict[int, float] = {}
        self._worked_at = self._clock.monotonic()
        self._lock: AsyncConnection | None = None
        self._lock_since = self._lock_checked = 0.0

    @property
    def works(self) -> bool:
        """Return whether other instances receive this one's heartbeats."""
        return self._clock.monotonic() - self._worked_at < self._timeout

    @property
    def leads(self) -> bool:
        """Return whether this instance gives grants and moves rollouts.

        Not before another instance's grants have ended, and only while it has checked lately that it holds the lock:
        an instance that lost it without notice stops before another one begins.
        """
        now = self._clock.monotonic()
        held = self._lock is not None and now - self._lock_checked < self._timeout
        return held and now - self._lock_since >= self._lease_seconds

    def note(self, edge_id: int, heartbeat: LeaseRequest) -> None:
        """Queue a heartbeat for the other instances."""
        self._unshared[edge_id] = (self._clock.monotonic(), heartbeat)

    async def exchange(self, session: AsyncSession) -> list[tuple[int, float, LeaseRequest]]:
        """Share queued heartbeats, and return those of other instances: edge, age in seconds, heartbeat."""
        unshared, self._unshared = self._unshared, {}
        try:
            now = (await session.scalars(select(_now))).one()
            await self._share(session, now, unshared)
            news = await self._read_shared(session, now)
            await session.commit()
        except BaseException:
            self._unshared = unshared | self._unshared
            raise
        self._worked_at = self._clock.monotonic()
        return news

    async def _share(
        self, session: AsyncSession, now: float, unshared: dict[int, tuple[float, LeaseRequest]]
    ) -> None:
        rows = sorted(unshared.items())  # in one order: no deadlock
        here = self._clock.monotonic()
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            some = rows[start : start + ROWS_PER_STATEMENT]
            columns = {
                "edge_ids": [edge_id for edge_id, _ in some],
                "heard_at": [now - (here - at) for _, (at, _) in some],
                "heartbeats": [heartbeat.model_dump_json() for _, (_, heartbeat) in some],
            }
            await session.execute(SHARE_HEARTBEATS, columns | {"instance": self._instance})

    async def _read_shared(self, session: AsyncSession, now: float) -> list[tuple[int, float, LeaseRequest]]:
        recent = LeaseRecord.heard_at > now - self._timeout * 2
        query = select(LeaseRecord.edge_id, LeaseRecord.heard_at)
        rows = await session.execute(query.where(recent, LeaseRecord.instance != self._instance))
        newer = [edge_id for edge_id, at in rows if self._received.get(edge_id, 0.0) < at]
        news: list[tuple[int, float, LeaseRequest]] = []
        for start in range(0, len(newer), ROWS_PER_STATEMENT):
            news += await self._heartbeats(session, now, newer[start : start + ROWS_PER_STATEMENT])
        return news

    async def _heartbeats(
        self, session: AsyncSession, now: float, edge_ids: list[int]
    ) -> list[tuple[int, float, LeaseRequest]]:
        columns = LeaseRecord.edge_id, LeaseRecord.heard_at, LeaseRecord.heartbeat
        others = LeaseRecord.edge_id.in_(edge_ids), LeaseRecord.instance != self._instance
        rows = (await session.execute(select(*columns).where(*others))).all()
        self._received.update({edge_id: heard_at for edge_id, heard_at, _ in rows})
        return [(edge_id, now - at, LeaseRequest.model_validate(body)) for edge_id, at, body in rows]

    async def try_to_lead(self) -> None:
        """Acquire the grant lock if it is free; it is released with the connection."""
        if self._lock is not None:
            try:
                checked_at = self._clock.monotonic()
                await self._lock.execute(text("SELECT 1"))
                self._lock_checked = checked_at
                return
            except Exception:
                await self._lock.invalidate()
                self._lock = None
        connection = await self._engine.connect()
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        asked_at = self._clock.monotonic()
        if await connection.scalar(text(f"SELECT pg_try_advisory_lock({GRANT_LOCK})")):
            self._lock, self._lock_since = connection, self._clock.monotonic()
            self._lock_checked = asked_at
        else:
            await connection.close()

    async def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            await self._lock.invalidate()
            await self._lock.close()
            self._lock = None
