"""Which edges shield services, and who may know the secret by which they know each other."""

from typing import Any

from balancer.control.services.published.shield_sites import _SHIELD
from node.state.shield import ShieldEdge, ShieldSites
from services.published import PublishedService

PATH = "/v1/published-services/shield"


async def sites_of(api: Any) -> ShieldSites:
    answer = await api.ask("GET", PATH, token="credential-1")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return ShieldSites.from_json(answer.json())


async def test_edges_of_sites_that_active_services_name_are_listed(
    api: Any, add_service: Any, activate: Any
) -> None:
    await api.enrol(1)
    assert (await sites_of(api)).sites == {}
    site = (await api.ask("GET", "/v1/edges/1")).json()["site"]
    number = await add_service(shield={"site": site})
    assert (await sites_of(api)).sites == {}  # a draft shields nothing
    await activate("shop", number)
    await api.heartbeat(1)
    found = await sites_of(api)
    tunnel = (await api.ask("GET", "/v1/edges/1")).json()["tunnel_v4"]
    name = (await api.ask("GET", "/v1/edges/1")).json()["name"]
    assert found.sites == {site: (ShieldEdge(1, name, tunnel),)}
    assert found.key == (await sites_of(api)).key
    await activate("shop", await add_service())
    assert (await sites_of(api)).sites == {}


async def test_only_edges_get_the_secret(api: Any) -> None:
    await api.enrol(1)
    assert (await api.ask("GET", PATH)).status_code == 403
    assert (await api.ask("GET", PATH, token="none")).status_code == 401


def test_a_text_in_a_document_is_no_shield() -> None:
    headers = {"client": [{"action": "set", "name": "x-a", "value": '"shield":{"site":"x"}'}]}
    made = PublishedService.of("shop", 1, {"headers": headers}, {})
    assert _SHIELD not in made.line
    assert _SHIELD in PublishedService.of("shop", 1, {"shield": {"site": "x"}}, {}).line
