"""A new generation of services after the database went back: edges never accept an older one."""

import logging

from balancer.api.numbers import describe_number
from balancer.control.services.published.acknowledgements import ServiceAcknowledgements
from balancer.control.services.published.changes import begin_generation
from balancer.control.services.published.publication import ServicePublication
from balancer.control.storage.store import Store

log = logging.getLogger(__name__)


async def check_lost_services(
    store: Store, publication: ServicePublication, known: ServiceAcknowledgements
) -> None:
    """Publish a generation beyond those that the database lost, if this instance or most edges have newer ones."""
    lost = max(publication.lost_generation, known.highest_lost(store.now().timestamp()))
    if not lost:
        return
    publication.lost_generation = lost
    async with store.change() as session:
        begin_generation(session)
    generation = describe_number(publication.live.generation)
    log.warning(
        "services went back, published anew", extra={"lost": describe_number(lost), "now": generation}
    )
