"""Services for the fleet page: those with something to look at, then the busiest, with what they did."""

from balancer.api.figures import ServiceFiguresBody, ServiceTotal
from balancer.api.overview import ServiceLine, ServicesOverview
from balancer.control.figures.rings import FigureRings
from balancer.control.services import repository, service
from balancer.control.services.published.acknowledgements import ServiceAcknowledgements
from balancer.control.services.rollout import repository as rollouts
from balancer.control.storage.store import Store

TOTAL_SECONDS = 60
LINES = 50  # services whose requests over time are shown
MINUTES = 60


class ServiceOverview:
    """Lists services for the fleet page."""

    def __init__(self, store: Store, known: ServiceAcknowledgements, rings: FigureRings) -> None:
        self._store = store
        self._known = known
        self._rings = rings

    async def show(self, wanted: str, limit: int) -> ServicesOverview:
        """Show the first `limit` services whose name, or one of whose host names, contains `wanted`."""
        totals, refused = self._rings.totals_since(TOTAL_SECONDS), self._known.refused_services()

        async with self._store.read() as session:
            count = await repository.count_services(session)
            names = await repository.find_names(session, wanted)
            rolling = {each.service for each in await rollouts.list_under_way(session)}

            def rank_service(name: str) -> tuple[bool, bool, float, str]:
                return name not in refused, name not in rolling, -totals.get(name, [0.0])[0], name

            shown = sorted(names, key=rank_service)[:limit]
            records = await repository.find_by_names(session, shown)
            views = await service.show_services(session, [records[name] for name in shown], self._known)
        items = [
            ServiceLine(
                service=view,
                total=_make_total(view.name, totals.get(view.name)),
                requests=self._requests_of(view.name) if place < LINES else [],
            )
            for place, view in enumerate(views)
        ]
        return ServicesOverview(services=count, matching=len(names), items=items)

    def _requests_of(self, name: str) -> list[int]:
        return [int(step[0]) for step in self._rings.steps_of(name, 60)[1][-MINUTES:]]


def _make_total(name: str, numbers: list[float] | None) -> ServiceTotal | None:
    if numbers is None:
        return None
    return ServiceTotal(service=name, **ServiceFiguresBody.named_numbers(numbers))
