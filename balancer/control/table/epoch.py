"""New epochs of the numbers that clients hold, when the database has gone back to an earlier state.

Agents and forwarders never accept a smaller generation. After a restore, or a recovery of PostgreSQL to an earlier
point, numbers would repeat; a new epoch makes every number greater than any that a client can hold.
"""

import logging

from balancer.api.access import Role
from balancer.api.numbers import describe_number, epoch_after
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.health.acknowledgement import Acknowledgements
from balancer.control.storage.backup import RESTORED
from balancer.control.storage.records import CounterRecord
from balancer.control.storage.store import Store
from balancer.control.table.publication import Publication

log = logging.getLogger(__name__)
BY = Caller(Role.ADMIN, "control plane")


async def begin_epoch(store: Store, publication: Publication, lost: int, why: str) -> None:
    """Publish the table in a new epoch, greater than that of the lost generation."""
    async with store.change() as session:
        if store.shared:
            await publication.catch_up(session)
        now, newest = store.now(), publication.watch.generation
        if lost and newest > lost:
            return  # another instance began the epoch
        session.info["epoch"] = epoch_after(max(lost, newest), now.timestamp())
        if restored := await session.get(CounterRecord, RESTORED):
            await session.delete(restored)
        target = f"generation {describe_number(newest)}"
        audit.record_change(session, now, BY, "table.epoch", target, why)
    publication.lost_generation = None
    generation = describe_number(publication.watch.generation)
    log.warning("the database went back, a new epoch begins", extra={"why": why, "generation": generation})


async def check_restore(store: Store, publication: Publication) -> None:
    """Begin an epoch at the first start after `sennit control-backup restore`."""
    async with store.read() as session:
        restored = await session.get(CounterRecord, RESTORED)
    if restored is not None:
        await begin_epoch(store, publication, 0, "restored from a backup")


async def check_lost_generations(store: Store, publication: Publication, known: Acknowledgements) -> None:
    """Begin an epoch if the database lost generations: this instance or most live forwarders have newer ones."""
    newest = publication.watch.generation
    if (lost := publication.lost_generation) is not None:
        why = f"generation {describe_number(lost)} was published, the database has {describe_number(newest)}"
        await begin_epoch(store, publication, lost, why)
    elif (lost := known.highest_lost(newest, store.now().timestamp())) is not None:
        live = len(known.applied) + len(known.ahead)
        why = f"{len(known.ahead)} of {live} forwarders are ahead, up to {describe_number(lost)}"
        await begin_epoch(store, publication, lost, why)
