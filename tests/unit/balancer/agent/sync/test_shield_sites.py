"""The agent hands the edge the shielding sites while a service has a shield, and their end with the last."""

import asyncio
from pathlib import Path

from balancer.agent.sync.shield_sites import ShieldSync
from balancer.api.client import Unreachable
from node.state.catalogue import SHIELD
from node.state.shield import ShieldEdge, ShieldSites, read_shield_sites, write_shield_sites
from services.published import PublishedService, ServiceGeneration

SITES = ShieldSites(bytes(32), {"ams": (ShieldEdge(1, "edge1", "10.255.0.1"),)})
NO_SITES = ShieldSites(bytes(32), {})


def generation(number: int, **document: object) -> ServiceGeneration:
    return ServiceGeneration(number, (PublishedService.of("shop", 1, document, {}),), b"")


class Control:
    """A control plane that answers, or cannot be reached."""

    def __init__(self) -> None:
        self.sites: ShieldSites | None = SITES
        self.asked = 0

    async def shield_sites(self) -> ShieldSites:
        self.asked += 1
        if self.sites is None:
            raise Unreachable("cut off")
        return self.sites


async def test_sites_are_fetched_only_while_a_service_has_a_shield(tmp_path: Path) -> None:
    control, services = Control(), generation(1)
    sync = ShieldSync(lambda sites: write_shield_sites(tmp_path, sites))
    following = asyncio.create_task(
        sync.follow(control, lambda: services, seconds=0.001)  # type: ignore[arg-type]
    )

    async def until_stored(wanted: ShieldSites) -> None:
        async with asyncio.timeout(10):
            while not SHIELD.path_in(tmp_path).exists() or read_shield_sites(tmp_path) != wanted:
                await asyncio.sleep(0.001)

    await asyncio.sleep(0.05)
    assert not control.asked
    services = generation(2, shield={"site": "ams"})
    await until_stored(SITES)
    control.sites = None
    asked = control.asked
    while control.asked < asked + 3:
        await asyncio.sleep(0.001)
    assert read_shield_sites(tmp_path) == SITES  # they hold while the control plane is away
    services, control.sites = generation(3), NO_SITES
    await until_stored(NO_SITES)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
