"""What the agent finds at its own node, and what of it is hard."""

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from balancer.agent.health import edge_health
from balancer.agent.health.host_checks import ForwarderCheck, find_missing_vip
from balancer.agent.health.node_watch import CUT_OFF, NodeMonitor
from balancer.agent.peers.peer_watch import PeerMonitor, PeerStatus
from balancer.agent.state import NodeState
from balancer.api.schemas import Health, LeaseRequest
from balancer.datapath.load.install import ForwarderInstall
from balancer.model.reference.tunnel import Ends
from node.state import probe_results
from node.state.catalogue import EDGE_SOCKET, PROBE_RESULTS
from node.state.identity import NodeIdentity, write_identity
from node.state.probe_results import ProbeResult
from node.vip import Locator, Vip


@pytest.fixture
def peers() -> PeerMonitor:
    return PeerMonitor(0)


def install_forwarder(state: Path, outside: tuple[str, ...], backbone: str) -> None:
    vip = Vip("main", "203.0.113.1", None)
    ForwarderInstall(1, outside, backbone, Ends("10.255.0.1", None), vip).write_file(state)


def test_a_forwarder_that_was_detached_is_hard(tmp_path: Path) -> None:
    check = ForwarderCheck(tmp_path)
    assert check.find_fault() is None, "never loaded: the agent waits for it before it announces"
    install_forwarder(tmp_path, (), "nosuch0")
    assert check.find_fault() == "forwarder: there is no interface nosuch0"
    (tmp_path / "forwarder" / "forwarder.json").unlink()
    assert check.find_fault() == "forwarder: is detached"


@pytest.fixture
def watch(tmp_path: Path, peers: PeerMonitor) -> NodeMonitor:
    return NodeMonitor(
        NodeState(tmp_path), tmp_path / "edge" / "edge.sock", peers, forwarder=True, vip_check=True
    )


async def test_no_listener_at_the_socket_is_hard(watch: NodeMonitor) -> None:
    findings = await watch.check_node()
    assert (findings.health, findings.hard) == (Health.DOWN, ("edge: not listening",))


async def test_an_edge_that_hangs_is_late_first_and_then_dead(
    watch: NodeMonitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_health, "_TIMEOUT", 0.05)
    monkeypatch.setattr(edge_health, "HANGS_AFTER", 1000.0)
    held: list[Any] = []
    EDGE_SOCKET.create_folder(tmp_path)
    server = await asyncio.start_unix_server(lambda *pair: held.append(pair), tmp_path / "edge" / "edge.sock")
    first = await watch.check_node()
    assert first.health is Health.DEGRADED
    monkeypatch.setattr(edge_health, "HANGS_AFTER", 0.0)
    findings = await watch.check_node()
    assert findings.health is Health.DOWN
    assert findings.hard[0].startswith("edge: no answer for")
    server.close()


@pytest.mark.parametrize("said", ["degraded", "down"])
async def test_what_the_edge_says_without_a_reason_counts_too(
    watch: NodeMonitor, tmp_path: Path, edge_answers: Any, said: str
) -> None:
    async with edge_answers(tmp_path / "edge" / "edge.sock", said):
        findings = await watch.check_node()
    assert findings.health.value == said
    assert findings.reasons == [f"edge: {said}"]


async def test_a_vip_that_is_on_no_interface_is_hard(
    watch: NodeMonitor, tmp_path: Path, edge_answers: Any
) -> None:
    write_identity(tmp_path, NodeIdentity(3, "edge3", Vip("main", "203.0.113.77", None)))
    async with edge_answers(tmp_path / "edge" / "edge.sock", "ok"):
        assert (await watch.check_node()).hard == ("vip: 203.0.113.77 is on no interface of this host",)


async def test_the_agent_looks_for_address_locators_too(tmp_path: Path) -> None:
    vip = Vip("main", "203.0.113.77", "2001:db8:a::", locator=Locator.ADDRESS)
    write_identity(tmp_path, NodeIdentity(3, "edge3", vip))
    assert NodeState(tmp_path).vip_addresses() == (
        "203.0.113.77",
        "2001:db8:a::",
        "203.0.113.3",
        "2001:db8:a::3",
    )
    assert find_missing_vip(("127.0.0.1",)) is None


async def test_a_forwarder_that_is_loaded_nowhere_is_hard(
    watch: NodeMonitor, tmp_path: Path, edge_answers: Any
) -> None:
    install_forwarder(tmp_path, ("lo",), "nosuch0")
    async with edge_answers(tmp_path / "edge" / "edge.sock", "ok"):
        findings = await watch.check_node()
    assert findings.hard[0] in (
        "forwarder: nothing is attached to lo",
        "forwarder: there is no interface nosuch0",
    )


async def test_probes_and_peers_are_soft(
    watch: NodeMonitor, peers: PeerMonitor, tmp_path: Path, edge_answers: Any
) -> None:
    results = [ProbeResult("probe-service", False, "refused"), ProbeResult("probe-forwarding", True, "", 2)]
    probe_results.write_results(tmp_path, time.monotonic(), results)
    peers.statuses = {2: PeerStatus(backbone=False), 3: PeerStatus(backbone=False)}
    async with edge_answers(tmp_path / "edge" / "edge.sock", "ok"):
        findings = await watch.check_node()
    assert (findings.health, findings.hard) == (Health.DEGRADED, ())
    assert findings.soft == ("probe-service: refused", CUT_OFF)
    assert [(r.edge_id, r.forwarding, r.backbone) for r in watch.reports()] == [
        (2, True, False),
        (3, None, False),
    ]


async def test_one_failing_tunnel_is_the_others_fault_and_all_failing_are_ones_own(
    watch: NodeMonitor, tmp_path: Path, edge_answers: Any
) -> None:
    def forwarding(edge_id: int, ok: bool) -> ProbeResult:
        return ProbeResult(f"probe-forwarding edge {edge_id}", ok, "no answer", edge_id)

    async with edge_answers(tmp_path / "edge" / "edge.sock", "ok"):
        probe_results.write_results(tmp_path, time.monotonic(), [forwarding(2, False), forwarding(3, True)])
        assert (await watch.check_node()).soft == ()
        probe_results.write_results(tmp_path, time.monotonic(), [forwarding(2, False), forwarding(3, False)])
        assert len((await watch.check_node()).soft) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"at": 1, "results": [{}]}',
        '{"at": "x", "results": []}',
        '{"at": -99, "results": []}',
    ],
)
async def test_a_prober_that_stopped_or_writes_nonsense_is_a_reason(
    watch: NodeMonitor, tmp_path: Path, edge_answers: Any, text: str
) -> None:
    PROBE_RESULTS.write_text(tmp_path, text)
    async with edge_answers(tmp_path / "edge" / "edge.sock", "ok"):
        findings = await watch.check_node()
    assert findings.health is Health.DEGRADED
    assert findings.soft[0].startswith("probes: ")


HOSTILE = {
    "a number beyond JSON": b'{"status": "ok", "reasons": [], "sessions": 1000000000000000000000000000000}',
    "infinity": b'{"status": "ok", "reasons": [], "sessions": 1e999}',
    "reasons that are no list": b'{"status": "degraded", "reasons": "' + b"x" * 1000 + b'"}',
    "no object": b"[]",
    "nesting": b"[" * 100_000,
    "a giant": b'{"status": "ok", "reasons": ["' + b"x" * (17 << 20) + b'"]}',
    "what is no text": b"\xff\xfe",
}


@asynccontextmanager
async def hostile_edge(state: Path, body: bytes, fields: bytes = b"") -> AsyncIterator[None]:
    """An edge server that was taken over answers its agent."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (fields, len(body), body))
            await writer.drain()
        writer.close()

    EDGE_SOCKET.create_folder(state)
    server = await asyncio.start_unix_server(answer, EDGE_SOCKET.path_in(state))
    yield
    server.close()


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_answer_of_the_edge_is_its_own_failure_only(
    watch: NodeMonitor, tmp_path: Path, body: bytes
) -> None:
    async with hostile_edge(tmp_path, body):
        findings = await watch.check_node()
    assert findings.reasons == ["edge: invalid answer"]
    LeaseRequest(health=findings.health, reasons=findings.reasons, sessions=findings.sessions)


async def test_an_encoded_answer_of_the_edge_is_not_unpacked(watch: NodeMonitor, tmp_path: Path) -> None:
    async with hostile_edge(tmp_path, gzip.compress(bytes(1 << 20)), b"content-encoding: gzip\r\n"):
        findings = await watch.check_node()
    assert findings.reasons == ["edge: invalid answer"]


async def test_what_a_terminal_would_obey_is_not_in_the_heartbeat(watch: NodeMonitor, tmp_path: Path) -> None:
    said = json.dumps({"status": "degraded", "reasons": ["\x1b]0;x\x07\ud800\u202e"] * 99})
    async with hostile_edge(tmp_path, said.encode()):
        findings = await watch.check_node()
    assert findings.reasons == ["?]0;x???"] * 16
    LeaseRequest(health=findings.health, reasons=findings.reasons).model_dump_json()
