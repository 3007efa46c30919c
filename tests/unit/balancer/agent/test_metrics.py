"""The agent's metrics, scraped over HTTP and read by Prometheus's own parser."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from free_ports import free_port
from prometheus_client.parser import text_string_to_metric_families

from balancer.agent.daemon import Agent
from balancer.agent.settings import AgentSettings
from runtime.errors import CommandError


def chosen(control: Any, folder: Path, metrics: str) -> AgentSettings:
    return AgentSettings.from_arguments(
        [
            *("--state", str(folder / "node"), "--control", control.url, "--name", "edge1"),
            *("--tunnel-v4", "10.255.0.1", "--enrolment-token-file", str(folder / "token")),
            *("--probe-seconds", "0.1", "--no-vip-check", "--peer-port", "0", "--metrics", metrics),
        ]
    )


async def test_metrics_say_what_the_agent_knows(
    control: Any, tmp_path: Path, wait_until: Any, edge_answers: Any
) -> None:
    address = f"127.0.0.1:{free_port()}"
    task = asyncio.create_task(Agent(chosen(control, tmp_path, address)).run())

    async def scrape() -> dict[str, dict[tuple[str, ...], float]]:
        async with httpx.AsyncClient() as client:
            try:
                text = (await client.get(f"http://{address}/metrics")).text
            except httpx.ConnectError:
                return {}
        return {
            family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
            for family in text_string_to_metric_families(text)
        }

    async def degraded() -> bool:
        return (await scrape()).get("sennit_agent_health", {}).get(("degraded",)) == 1

    async with edge_answers(tmp_path / "node" / "edge" / "edge.sock", "degraded"):
        await wait_until(degraded)
        found = await scrape()
    assert found["sennit_agent_announcing"] == {(): 0}
    assert found["sennit_agent_control_silence_seconds"][()] < 60
    assert {"process_resident_memory_bytes", "sennit_agent_table_generation"} <= set(found)

    async def down() -> bool:
        return ("hard", "edge") in (await scrape()).get("sennit_agent_reason", {})

    await wait_until(down)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await scrape() == {}, "it ends with the agent"


@pytest.mark.parametrize("address", ["9101", "localhost:9101", "127.0.0.1", "127.0.0.1:x"])
def test_an_address_that_makes_no_sense_is_refused(control: Any, tmp_path: Path, address: str) -> None:
    with pytest.raises(CommandError, match="metrics"):
        chosen(control, tmp_path, address)
