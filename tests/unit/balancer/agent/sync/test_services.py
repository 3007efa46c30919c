"""Services reach the node's state folder: only signed ones, whole or put together; what the edge says goes back."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancer.agent.daemon import Agent
from balancer.agent.settings import AgentSettings
from balancer.agent.state import NodeState
from balancer.agent.sync.service_follower import ServiceSync
from balancer.api.services import ActivationRequest, ServiceBody
from balancer.api.services_client import ServicesClient
from node.state.catalogue import SERVICES
from services.published import PublishedService, ServiceGeneration
from services.published_file import (
    AppliedServices,
    RefusedService,
    write_applied_services,
)

KEY, FORGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
DOCUMENT: dict[str, Any] = {
    "hostnames": ["a.example"],
    "origins": [{"name": "eu", "url": "http://192.0.2.1"}],
}
A = PublishedService.of("a", 1, DOCUMENT, {})
B = PublishedService.of("b", 1, DOCUMENT | {"hostnames": ["b.example"]}, {"key": "value"})
FIRST = ServiceGeneration.sign(KEY, 7, [A])
SECOND = ServiceGeneration.sign(KEY, 8, [A, B])


def body(made: ServiceGeneration, *services: PublishedService, **more: Any) -> dict[str, Any]:
    signature = base64.b64encode(made.signature).decode()
    entries = [json.loads(service.line) for service in services]
    return {"generation": made.generation, "services": entries, "signature": signature, **more}


async def follow(folder: Path, answers: list[Any]) -> tuple[NodeState, list[httpx.Request]]:
    """Follow a control plane that gives these answers, until it is asked once more."""
    asked: list[httpx.Request] = []
    done = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) > len(answers):
            done.set()
            await asyncio.Event().wait()
        return httpx.Response(200, json=answers[len(asked) - 1])

    state = NodeState(folder)
    state.keep_table_key(KEY.public_key().public_bytes_raw())
    follower = ServiceSync(state.services, state.verify_services, state.keep_services, state.has_services)
    async with ServicesClient("http://127.0.0.1", "x", transport=httpx.MockTransport(answer)) as client:
        task = asyncio.create_task(follower.follow(client))
        await asyncio.wait_for(done.wait(), 30)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return state, asked


FORGERIES = {
    "signed by another": body(ServiceGeneration.sign(FORGER, 8, [A, B]), A, B),
    "a difference signed by another": body(ServiceGeneration.sign(FORGER, 8, [A, B]), B, since=7, removed=[]),
    "with the signature of another": body(ServiceGeneration(8, (), FIRST.signature), A),
    "a difference to another generation": body(SECOND, B, since=3, removed=[]),
    "older": body(ServiceGeneration.sign(KEY, 6, [B]), B),
    "nonsense": [],
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES)
async def test_forged_services_are_refused_and_the_last_good_ones_stay(tmp_path: Path, forged: Any) -> None:
    state, asked = await follow(tmp_path, [body(FIRST, A), forged])
    assert state.services() == FIRST
    assert "since=7" in str(asked[1].url)


async def test_a_difference_is_put_together_and_kept_over_a_restart(tmp_path: Path) -> None:
    state, _ = await follow(tmp_path, [body(FIRST, A), body(SECOND, B, since=7, removed=[])])
    assert state.services() == SECOND
    _, asked = await follow(tmp_path, [])
    assert "since=8" in str(asked[0].url)


async def test_a_file_that_was_lost_is_written_again(tmp_path: Path) -> None:
    asked, done = 0, asyncio.Event()
    state = NodeState(tmp_path)
    state.keep_table_key(KEY.public_key().public_bytes_raw())

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            return httpx.Response(200, json=body(FIRST, A))
        if asked == 2:
            SERVICES.path_in(tmp_path).unlink()
            return httpx.Response(304)
        done.set()
        await asyncio.Event().wait()
        raise AssertionError

    follower = ServiceSync(state.services, state.verify_services, state.keep_services, state.has_services)
    async with ServicesClient("http://127.0.0.1", "x", transport=httpx.MockTransport(answer)) as client:
        task = asyncio.create_task(follower.follow(client, 0))
        await asyncio.wait_for(done.wait(), 30)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert state.services() == FIRST


async def test_an_activation_reaches_the_node_and_its_refusal_the_operator(
    control: Any, tmp_path: Path, wait_until: Any
) -> None:
    flags = ["--state", str(tmp_path / "node"), "--control", control.url, "--name", "edge1", "--site", "a"]
    token = ["--enrolment-token-file", str(tmp_path / "token"), "--no-vip-check", "--peer-port", "0"]
    agent = Agent(AgentSettings.from_arguments([*flags, "--tunnel-v4", "10.255.0.1", *token]))
    running, state = asyncio.create_task(agent.run()), NodeState(tmp_path / "node")

    def stored() -> list[tuple[str, int]]:
        try:
            return [(service.name, service.revision) for service in state.services().services]
        except (OSError, ValueError):
            return []

    try:
        async with ServicesClient(control.url, control.admin().token) as client:
            await client.create_service(ServiceBody(name="shop"))
            await client.add_revision("shop", DOCUMENT)
            await client.activate_revision("shop", ActivationRequest(revision=1))
            await wait_until(lambda: stored() == [("shop", 1)])
            refused = RefusedService("shop", 1, "origins.0.url: does not suit")
            generation = state.services().generation
            write_applied_services(state.folder, AppliedServices(generation, (refused,)))

            async def has_report() -> bool:
                found = (await client.service("shop")).edges.refused
                return [(each.edge_id, each.reason) for each in found] == [(1, refused.reason)]

            await wait_until(has_report)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
