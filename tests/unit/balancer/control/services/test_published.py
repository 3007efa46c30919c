"""What edges get: one signed generation after the other, with secrets; and what they answer."""

import asyncio
import base64
from typing import Any

import pytest

from services.published import ForgedServices, ServiceGeneration

SIGNED = {"signed_urls": {"issuers": ["https://shop.example"], "keys": ["url-key"]}}
PATH = "/v1/published-services"


async def published(api: Any, kept: ServiceGeneration | None = None, edge: int = 1) -> ServiceGeneration:
    query = "" if kept is None else f"?since={kept.generation}"
    answer = await api.ask("GET", PATH + query, token=f"credential-{edge}")
    assert answer.status_code == 200, answer.text
    made = ServiceGeneration.from_answer(answer.json(), kept)
    made.verify(base64.b64decode((await api.ask("GET", "/v1/table/key")).json()["key"]))
    return made


def named(made: ServiceGeneration) -> dict[str, int]:
    return {service.name: service.revision for service in made.services}


async def test_what_is_activated_is_published_and_signed(api: Any, add_service: Any, activate: Any) -> None:
    await api.enrol(1)
    assert named(await published(api)) == {}
    await activate("shop", await add_service())
    first = await published(api)
    await activate("blog", await add_service("blog", hostnames=["blog.example"]))
    await activate("shop", await add_service(hostnames=["b.example"]))
    second = await published(api, first)
    assert named(second) == {"shop": 2, "blog": 1}
    assert second == await published(api)
    await api.ask("DELETE", "/v1/services/blog")
    assert named(await published(api, second)) == {"shop": 2}


async def test_a_draft_changes_nothing_that_edges_get(api: Any, add_service: Any, activate: Any) -> None:
    await api.enrol(1)
    await activate("shop", await add_service())
    before = await published(api)
    await add_service(hostnames=["b.example"])
    assert (await published(api)).generation == before.generation


async def test_edges_get_the_secrets_that_documents_name_and_no_one_else_gets_any(
    api: Any, add_service: Any, activate: Any
) -> None:
    await api.enrol(1)
    number = await add_service(access=SIGNED)
    for key in ("url-key", "unused"):
        await api.ask("PUT", f"/v1/services/shop/secrets/{key}", {"value": f"value of {key}"})
    await activate("shop", number)
    (shop,) = (await published(api)).services
    assert shop.secrets == {"url-key": "value of url-key"}
    await api.ask("PUT", "/v1/services/shop/secrets/url-key", {"value": "newer"})
    assert (await published(api)).services[0].secrets == {"url-key": "newer"}
    assert (await api.ask("GET", PATH)).status_code == 403
    revision = await api.ask("GET", "/v1/services/shop/revisions/1")
    assert "value of" not in revision.text


async def test_a_long_poll_ends_with_the_activation(api: Any, add_service: Any, activate: Any) -> None:
    await api.enrol(1)
    number = await add_service()
    kept = await published(api)
    headers = {"If-None-Match": f'"{kept.generation}"'}
    again = await api.ask("GET", PATH, token="credential-1", headers=headers)
    assert again.status_code == 304
    waiting = asyncio.create_task(
        api.ask("GET", f"{PATH}?wait=60&since={kept.generation}", token="credential-1", headers=headers)
    )
    await asyncio.sleep(0)
    await activate("shop", number)
    answer = await asyncio.wait_for(waiting, 30)
    assert named(ServiceGeneration.from_answer(answer.json(), kept)) == {"shop": 1}


async def test_an_edge_that_is_far_behind_gets_everything(
    api: Any, add_service: Any, activate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balancer.control.services.published.live.KEPT_GENERATIONS", 1)
    await api.enrol(1)
    kept = await published(api)
    for name in ("a", "b"):
        await activate(name, await add_service(name, hostnames=[f"{name}.example"]))
    answer = await api.ask("GET", f"{PATH}?since={kept.generation}", token="credential-1")
    assert "since" not in answer.json()
    assert named(ServiceGeneration.from_answer(answer.json())) == {"a": 1, "b": 1}


async def test_a_changed_answer_is_not_believed(api: Any, add_service: Any, activate: Any) -> None:
    await api.enrol(1)
    await activate("shop", await add_service())
    value = (await api.ask("GET", PATH, token="credential-1")).json()
    value["services"][0]["document"]["origins"][0]["url"] = "http://198.51.100.66"
    key = base64.b64decode((await api.ask("GET", "/v1/table/key")).json()["key"])
    with pytest.raises(ForgedServices):
        ServiceGeneration.from_answer(value).verify(key)


async def test_a_restart_publishes_what_was_in_force(restartable: Any, document: Any, vip: Any) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        await api.enrol(1)
        await api.ask("POST", "/v1/services", {"name": "shop"})
        await api.ask("POST", "/v1/services/shop/revisions", document())
        await api.ask("POST", "/v1/services/shop/activate", {"revision": 1})
        before = await published(api)
    async with restartable() as api:
        assert await published(api) == before


async def test_edges_say_what_they_have_and_what_they_refuse(
    api: Any, add_service: Any, activate: Any
) -> None:
    for number in (1, 2):
        await api.enrol(number)
    await activate("shop", await add_service())
    generation = (await published(api)).generation
    refused = [{"name": "shop", "revision": 1, "reason": "origins.0.tls.ca: not a certificate"}]
    await api.heartbeat(1, services={"generation": generation})
    await api.heartbeat(2, services={"generation": generation, "refused": refused})
    edges = (await api.ask("GET", "/v1/services/shop")).json()["edges"]
    assert (edges["live"], edges["applied"]) == (2, 1)
    assert edges["refused"] == [{"edge_id": 2, "revision": 1, "reason": refused[0]["reason"]}]
    await activate("shop", await add_service(hostnames=["b.example"]))
    edges = (await api.ask("GET", "/v1/services/shop")).json()["edges"]
    assert (edges["live"], edges["applied"]) == (2, 0)
    await api.pass_time(11)
    assert (await api.ask("GET", "/v1/services/shop")).json()["edges"]["live"] == 0


async def test_edges_ahead_of_the_database_get_a_newer_generation(
    api: Any, add_service: Any, activate: Any
) -> None:
    await api.enrol(1)
    await activate("shop", await add_service())
    await api.heartbeat(1, services={"generation": 1000})
    await api.pass_time(1)
    found = (await published(api)).generation
    assert found > 1000
    await api.heartbeat(1, services={"generation": 2**53 - 1})
    await api.pass_time(1)
    assert (await published(api)).generation == found


async def test_documents_of_all_services_together_have_a_limit(
    api: Any, add_service: Any, activate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balancer.control.services.published.publication.SIZE_LIMIT", 200)
    assert (await activate("shop", await add_service())).status_code == 200
    refused = await activate("blog", await add_service("blog", hostnames=["blog.example"]))
    assert refused.status_code == 409
    assert (await api.ask("GET", "/v1/services/blog")).json()["hostnames"] == []
