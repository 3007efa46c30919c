"""A fleet of three edges, as rollouts of the service `shop` see it."""

from typing import Any

from services.published import ServiceGeneration

STAGES = {"stages": [{"site": "a"}, {"site": "b"}], "dwell_seconds": 30}
PATH = "/v1/services/shop/rollout"


class Fleet:
    """Edges 1 in site a, 2 in site b, 3 in site c; each applies at once what it gets, unless it refuses.

    `api` is the control plane, or one instance of it, as the fixtures of `tests/unit/balancer/control` open it.
    """

    def __init__(self, api: Any) -> None:
        self.api = api
        self.refusing: set[int] = set()
        self.silent: set[int] = set()
        self.behind: set[int] = set()  # have an older generation in force
        self.counts: dict[int, dict[str, int]] = {}

    async def enrol(self) -> None:
        for number, site in ((1, "a"), (2, "b"), (3, "c")):
            assert (await self.api.enrol(number, site=site)).status_code == 201

    async def published(self, edge: int) -> ServiceGeneration:
        answer = await self.api.ask("GET", "/v1/published-services", token=f"credential-{edge}")
        return ServiceGeneration.from_answer(answer.json())

    async def revisions(self) -> list[int | None]:
        found: list[int | None] = []
        for edge in (1, 2, 3):
            services = {one.name: one.revision for one in (await self.published(edge)).services}
            found.append(services.get("shop"))
        return found

    async def report(self) -> None:
        for edge in {1, 2, 3} - self.silent:
            made = await self.published(edge)
            refused = [
                {"name": one.name, "revision": one.revision, "reason": "does not suit"}
                for one in made.services
                if edge in self.refusing and one.revision > 1
            ]
            counts = {"shop": self.counts[edge]} if edge in self.counts else {}
            generation = 1 if edge in self.behind else made.generation
            report = {"generation": generation, "refused": refused, "counts": counts}
            assert (await self.api.heartbeat(edge, services=report)).status_code == 200

    async def pass_seconds(self, seconds: float) -> None:
        """Let time pass with heartbeats."""
        for _ in range(int(seconds / 5)):
            await self.report()
            await self.api.pass_time(5)

    async def rollout(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.ask("GET", PATH)).json()
        return found

    async def steer(self, action: str) -> Any:
        return await self.api.ask("POST", PATH, {"action": action, "reason": "by hand"})
