"""Store the next generation of services inside a change, and publish it once that is committed."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.numbers import epoch_of, is_epoch_start, next_epoch_start, next_number
from balancer.control.clock import Clock
from balancer.control.http.problems import Refusal
from balancer.control.services.published import generations
from balancer.control.services.published.changes import changed_services
from balancer.control.services.published.live import LiveService, LiveServices
from balancer.control.services.published.stored import read_services
from balancer.control.services.sealing import SecretSeal
from balancer.control.storage.records import ServiceGenerationRecord
from balancer.control.table.watch import TableWatch
from balancer.control.waiters import Waiters

SIZE_LIMIT = 48 << 20  # bytes of all services: files of the state folder may have 64 MiB
ATTEMPTS = 5


class ServicePublication:
    """The published services, and the requests that wait for newer ones."""

    def __init__(
        self, clock: Clock, live: LiveServices, table: TableWatch, seal: SecretSeal, *, shared: bool
    ) -> None:
        self._clock = clock
        self.live = live
        self._table = table
        self._seal = seal
        self._shared = shared
        self.waiters = Waiters()
        self.lost_generation = 0  # a newer one than the database has was published

    async def load(self, session: AsyncSession) -> None:
        """Load what is published."""
        for _ in range(ATTEMPTS):  # other instances may publish between two queries
            known = await generations.list_after(session, 0)
            newest = known[-1].generation if known else 0
            services = await read_services(session, self._seal)
            if await generations.newest_generation(session) == newest:
                break
        since = {name: record.generation for record in known for name in record.services}
        oldest = known[0].generation if known else 0  # of those changed before it, nothing more is known
        self.live.load(
            newest,
            {name: _stamp_generation(each, since.get(name, oldest)) for name, each in services.items()},
        )
        for record in known:
            self.live.remember(record.generation, record.services)

    async def catch_up(self, session: AsyncSession) -> None:
        """Load what other instances have published, and notice a database that went back."""
        known = self.live.generation
        newest = await generations.newest_generation(session)
        if newest == known:
            return
        if newest < known:
            self.lost_generation = max(self.lost_generation, known)
        await self._load_missed(session, known)
        self.waiters.wake()

    async def _load_missed(self, session: AsyncSession, known: int) -> None:
        missed = await generations.list_after(session, known)
        if not missed or missed[0].generation != known + 1:
            await self.load(session)
            return
        names = {name for record in missed for name in record.services}
        services = await read_services(session, self._seal, names)
        for record in missed:
            if record.generation > self.live.generation:  # a change may have read or made it meanwhile
                changes = _select_changes(record.services, services, record.generation)
                self.live.advance(record.generation, changes)

    async def publish(self, session: AsyncSession) -> Callable[[], None] | None:
        """Store the generation that results from a change; None if no service changes."""
        names = changed_services(session)
        if names is None:
            return None
        if self._shared:
            await self.catch_up(session)
        newest = max(self.live.generation, self.lost_generation)
        epoch = max(session.info.get("epoch", 0), epoch_of(self._table.generation), epoch_of(newest))
        if not names and is_epoch_start(
            newest
        ):  # no service was ever published: edges keep their default one
            generation = next_epoch_start(newest, epoch, self._clock.now().timestamp())
        else:
            generation = next_number(newest, epoch)
        changes = _select_changes(names, await read_services(session, self._seal, names), generation)
        self._check_size(changes)
        record = ServiceGenerationRecord(
            generation=generation, published_at=self._clock.now(), services=sorted(names)
        )
        session.add(record)
        await session.flush()
        await generations.drop_oldest(session)

        def announce() -> None:
            self.lost_generation = 0
            self.live.advance(generation, changes)
            self.waiters.wake()

        return announce

    def _check_size(self, changes: Mapping[str, LiveService | None]) -> None:
        grown = sum(len(each.active.line) for each in changes.values() if each and each.active)
        if self.live.size + grown > SIZE_LIMIT:
            detail = f"the documents of all services together would have more than {SIZE_LIMIT} bytes"
            raise Refusal(409, "services-too-large", detail, field="revision")


def _select_changes(
    names: object, services: Mapping[str, LiveService], generation: int
) -> dict[str, LiveService | None]:
    assert isinstance(names, set | list)
    return {
        name: _stamp_generation(services[name], generation) if name in services else None for name in names
    }


def _stamp_generation(service: LiveService, generation: int) -> LiveService:
    return replace(service, since=generation)
