"""Several instances on one PostgreSQL tell one another which edges they heard: once a second, all in one statement.

Each instance then knows nearly all heartbeats, wherever they arrived. An instance that cannot tell the others answers
no heartbeats, so that its edges turn to one that can. Grants to withdraw are given by one instance, which holds a
lock of the database for it: two would each spend the whole budget.
"""

import secrets

from sqlalchemy import Double, cast, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from balancer.api.schemas import LeaseRequest
from balancer.control.clock import Clock
from balancer.control.storage.records import LeaseRecord

# rows in one statement: some milliseconds in which nobody is answered, but few statements, since each waits its turn
# among the requests of a fleet that comes all at once
MANY = 2000
GRANTS = 0x5E4418  # the advisory lock of the instance that gives grants
# columns as arrays: a statement whose text is the same for any number of rows
TELL = text(
    """
    INSERT INTO lease (edge_id, instance, heard_at, heartbeat)
    SELECT edge_id, :instance, heard_at, heartbeat::json
    FROM unnest(CAST(:edge_ids AS integer[]), CAST(:heard_at AS double precision[]), CAST(:heartbeats AS text[]))
      AS told (edge_id, heard_at, heartbeat)
    ON CONFLICT (edge_id) DO UPDATE
    SET instance = excluded.instance, heard_at = excluded.heard_at, heartbeat = excluded.heartbeat
    WHERE excluded.heard_at > lease.heard_at
    """
)
_now = cast(func.extract("epoch", func.clock_timestamp()), Double)


class LeaseSharing:
    """What this instance heard and has not told yet, and what it was told last."""

    def __init__(self, engine: AsyncEngine, clock: Clock, lease_seconds: float) -> None:
        self._engine = engine
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._patience = lease_seconds / 3
        self._me = secrets.token_hex(8)
        self._untold: dict[int, tuple[float, LeaseRequest]] = {}
        self._told: dict[int, float] = {}
        self._worked_at = self._clock.monotonic()
        self._lock: AsyncConnection | None = None
        self._lock_since = 0.0

    @property
    def works(self) -> bool:
        """Whether the others know what is heard here."""
        return self._clock.monotonic() - self._worked_at < self._patience

    @property
    def leads(self) -> bool:
        """Whether this instance gives grants: not before those have ended that another one gave."""
        return self._lock is not None and self._clock.monotonic() - self._lock_since >= self._lease_seconds

    def note(self, edge_id: int, heartbeat: LeaseRequest) -> None:
        """Remember a heartbeat for the others."""
        self._untold[edge_id] = (self._clock.monotonic(), heartbeat)

    async def exchange(self, session: AsyncSession) -> list[tuple[int, float, LeaseRequest]]:
        """Tell what was heard, and return what others heard: edge, age in seconds, heartbeat."""
        untold, self._untold = self._untold, {}
        try:
            now = (await session.scalars(select(_now))).one()
            await self._tell(session, now, untold)
            news = await self._ask(session, now)
            await session.commit()
        except BaseException:
            self._untold = untold | self._untold
            raise
        self._worked_at = self._clock.monotonic()
        return news

    async def _tell(
        self, session: AsyncSession, now: float, untold: dict[int, tuple[float, LeaseRequest]]
    ) -> None:
        rows = sorted(untold.items())  # in one order: no deadlock
        here = self._clock.monotonic()
        for start in range(0, len(rows), MANY):
            some = rows[start : start + MANY]
            columns = {
                "edge_ids": [edge_id for edge_id, _ in some],
                "heard_at": [now - (here - at) for _, (at, _) in some],
                "heartbeats": [heartbeat.model_dump_json() for _, (_, heartbeat) in some],
            }
            await session.execute(TELL, columns | {"instance": self._me})

    async def _ask(self, session: AsyncSession, now: float) -> list[tuple[int, float, LeaseRequest]]:
        recent = LeaseRecord.heard_at > now - self._patience * 2
        query = select(LeaseRecord.edge_id, LeaseRecord.heard_at)
        rows = await session.execute(query.where(recent, LeaseRecord.instance != self._me))
        newer = [edge_id for edge_id, at in rows if self._told.get(edge_id, 0.0) < at]
        news: list[tuple[int, float, LeaseRequest]] = []
        for start in range(0, len(newer), MANY):
            news += await self._heartbeats(session, now, newer[start : start + MANY])
        return news

    async def _heartbeats(
        self, session: AsyncSession, now: float, edge_ids: list[int]
    ) -> list[tuple[int, float, LeaseRequest]]:
        columns = LeaseRecord.edge_id, LeaseRecord.heard_at, LeaseRecord.heartbeat
        others = LeaseRecord.edge_id.in_(edge_ids), LeaseRecord.instance != self._me
        rows = (await session.execute(select(*columns).where(*others))).all()
        self._told.update({edge_id: heard_at for edge_id, heard_at, _ in rows})
        return [(edge_id, now - at, LeaseRequest.model_validate(body)) for edge_id, at, body in rows]

    async def try_to_lead(self) -> None:
        """Take the lock where nobody has it; it goes with the connection."""
        if self._lock is not None:
            try:
                await self._lock.execute(text("SELECT 1"))
                return
            except Exception:
                await self._lock.invalidate()
                self._lock = None
        connection = await self._engine.connect()
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        if await connection.scalar(text(f"SELECT pg_try_advisory_lock({GRANTS})")):
            self._lock, self._lock_since = connection, self._clock.monotonic()
        else:
            await connection.close()

    async def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            await self._lock.invalidate()
            await self._lock.close()
            self._lock = None
