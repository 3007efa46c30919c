"""Probes are real key exchanges with a real edge on loopback; the agent reads what they leave."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from loopback import LoopbackEdge
from signed_table import write_signed_table

from balancer.agent.probe.namespace import NETWORK, NETWORK_V6, ProbeAddresses
from balancer.agent.probe.prober import Prober
from balancer.model.table import EdgeState, ForwardingTable, TableEdge
from node.state import probe_results
from node.state.identity import NodeIdentity, find_identity, write_identity
from node.vip import MAXIMUM_EDGE_ID, Vip
from smkex.core.handshake.config import ServerConfig


@pytest.fixture
async def edge() -> AsyncIterator[LoopbackEdge]:
    async with LoopbackEdge() as running:
        yield running


def node(edge: LoopbackEdge, state: Path, edge_id: int = 1) -> NodeIdentity:
    vip = Vip("main", "127.0.0.1", None, edge.port, id_port_base=edge.port)
    write_identity(state, NodeIdentity(edge_id, "edge1", vip))
    value = find_identity(state)
    assert value is not None
    return value


def prober(state: Path, timeout: float = 2.0) -> Prober:
    return Prober(state, "lo", timeout)


async def test_an_edge_that_serves_is_well_and_keeps_no_session(edge: LoopbackEdge, tmp_path: Path) -> None:
    (result,) = await prober(tmp_path).round(node(edge, tmp_path))
    assert (result.name, result.ok, result.why) == ("probe-service", True, "")
    async with asyncio.timeout(5):
        while not all(session.is_closing() for session in edge.sessions):
            await asyncio.sleep(0.01)


async def test_an_edge_that_is_gone_or_silent_is_reported_by_name(tmp_path: Path) -> None:
    async with LoopbackEdge() as edge:
        known = node(edge, tmp_path)
        for relay in edge.relays:
            relay.stop()
        (result,) = await prober(tmp_path, 0.3).round(known)
    assert not result.ok
    assert result.reason.startswith("probe-service: ")


async def test_another_edges_answer_is_a_failure(tmp_path: Path) -> None:
    async with LoopbackEdge(ServerConfig(edge_id=1)) as edge:
        (result,) = await prober(tmp_path, 0.5).round(node(edge, tmp_path, edge_id=7))
    assert "edge 1 answered" in result.why


async def test_a_peer_is_probed_at_its_locator(edge: LoopbackEdge, tmp_path: Path) -> None:
    up, down = EdgeState.UP, EdgeState.DOWN
    edges = tuple(
        TableEdge(edge_id, f"edge{edge_id}", f"10.255.0.{edge_id}", None, state)
        for edge_id, state in ((1, up), (2, up), (3, down))
    )
    write_signed_table(tmp_path, ForwardingTable(1, (), edges))
    results = await prober(tmp_path).round(node(edge, tmp_path, edge_id=2))
    by_name = {result.name: result for result in results}
    assert set(by_name) == {"probe-service", "probe-forwarding edge 1"}, "who is down is not probed"
    # the exchange itself is real; on loopback no forwarder can have marked the way it came
    assert by_name["probe-forwarding edge 1"].why == "path 0 was seen to enter at edge 1"


async def test_what_is_found_is_left_for_the_agent(
    edge: LoopbackEdge, tmp_path: Path, monkeypatch: Any
) -> None:
    node(edge, tmp_path)
    task = asyncio.create_task(prober(tmp_path).run(0.01))
    async with asyncio.timeout(5):
        while not (tmp_path / "probe" / "probes.json").exists():
            await asyncio.sleep(0.01)
    task.cancel()
    at = json.loads((tmp_path / "probe" / "probes.json").read_text())["at"]
    (result,) = probe_results.read_results(tmp_path, at + 1)
    assert result.ok
    (stale,) = probe_results.read_results(tmp_path, at + 100)
    assert not stale.ok


def test_every_id_has_a_pair_of_addresses_of_its_own() -> None:
    for version, network in ((4, NETWORK), (6, NETWORK_V6)):
        pairs = [ProbeAddresses.of(edge_id, version) for edge_id in (1, 2, MAXIMUM_EDGE_ID)]
        addresses = [end.ip for pair in pairs for end in (pair.near, pair.far)]
        assert len(set(addresses)) == len(addresses)
        assert all(address in network for address in addresses)
        assert all(pair.far.ip in pair.near.network for pair in pairs)
