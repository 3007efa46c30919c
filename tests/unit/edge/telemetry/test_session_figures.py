"""Sessions and failed handshakes are counted for the service of the client's server name, by reason."""

import asyncio
import json
import sys
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from loopback import LoopbackEdge, open_channel, until

from balancer.api import figures as api
from edge.server.status.facts import combine_facts
from edge.server.status.metrics import EdgeMetrics
from edge.telemetry import figures as counted
from edge.telemetry.figures import Figures
from edge.telemetry.session_figures import SessionFigures, failure_reason
from edge.telemetry.telemetry import Telemetry
from node.state.identity import NodeIdentity
from node.vip import Vip
from smkex.client.connect import connect
from smkex.client.connection import Connection
from smkex.core import errors
from smkex.core.errors import AbortCode, PeerAborted, SmkexError
from smkex.core.handshake.config import ServerConfig
from smkex.core.wire.frame import FrameType, encode_frame
from smkex.transport.driver import SessionDriver
from smkex.transport.resolution.discovery import FoundService

NAMES = {"shop.example": "shop", "any.example": ""}


@pytest.fixture(autouse=True)
def resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve every name to the loopback."""

    async def find(name: str, *_: object) -> FoundService:
        return FoundService((ip_address("127.0.0.1"),))

    monkeypatch.setattr(sys.modules["smkex.client.connect"], "find_service", find)


class CountedEdge(LoopbackEdge):
    """A loopback edge whose sessions and failures are counted."""

    def __init__(self, config: ServerConfig | None = None) -> None:
        super().__init__(config)
        self.figures = Figures()
        self.counted = SessionFigures(self.figures, NAMES.get)
        self.handshakes._observe_failure = self.counted.count_failure

    def _serve(self, session: SessionDriver) -> None:
        self.counted.begin_session(session)
        super()._serve(session)

    async def connect_to(self, name: str) -> Connection:
        return await connect(name, port=self.port, options=self.options)

    def failures(self) -> dict[str, dict[str, int]]:
        found = {}
        for name, counts in self.figures.as_counts().items():
            failed = zip(counted.HANDSHAKE_REASONS, counts["handshake_failures"], strict=True)
            found[name] = {reason: count for reason, count in failed if count}
        return found


async def test_sessions_are_counted_while_they_are_open_by_their_server_name() -> None:
    async with CountedEdge() as edge:
        connections = [
            await edge.connect_to(name) for name in ("shop.example", "shop.example", "other.example")
        ]
        await until(lambda: edge.figures.open_sessions() == {"shop": 2, "none": 1})
        await asyncio.sleep(0.05)
        for connection in connections:
            await connection.close()
        await until(lambda: edge.figures.open_sessions() == {})
        counts = edge.figures.as_counts()["shop"]
        assert counts["sessions"] == 2
        assert 0.1 <= counts["session_seconds"] == edge.figures.as_counts()["shop"]["session_seconds"] < 20
        assert edge.failures() == {"shop": {}, "none": {}}


async def test_a_share_that_is_read_and_refused_counts_for_its_service() -> None:
    async with CountedEdge(ServerConfig(edge_id=1, draining=True)) as edge:
        with pytest.raises(SmkexError):
            await connect("shop.example", port=edge.port, options=replace(edge.options, timeout=1))
        assert list(edge.failures()["shop"]) == ["draining"]


async def test_a_handshake_that_ends_after_its_share_counts_for_its_service() -> None:
    async with CountedEdge() as edge:
        edge.relays[1].stop()  # no second path
        with pytest.raises((SmkexError, OSError)):
            await connect("any.example", port=edge.port, options=replace(edge.options, timeout=1))
        await until(lambda: sum(edge.failures().get("default", {}).values()) == 1)


async def test_what_is_no_share_counts_for_no_service() -> None:
    async with CountedEdge() as edge:
        channels = []
        for frame in (encode_frame(FrameType.CLIENT_SHARE, b"x"), encode_frame(FrameType.FINISHED, b"x")):
            channels.append(await open_channel(edge.port))
            channels[-1].send(frame)
        await until(lambda: edge.failures().get("none") == {"unsupported": 1, "invalid": 1})


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PeerAborted(AbortCode.BINDING_MISMATCH, authenticated=False), "mismatch"),
        (PeerAborted(AbortCode.CERTIFICATE_REFUSED, authenticated=False), "certificate"),
        (PeerAborted(AbortCode.ONE_PATH_ONLY, authenticated=False), "client-aborted"),
        (PeerAborted(200, authenticated=False), "client-aborted"),
        (errors.FinishedMismatch(), "mismatch"),
        (errors.DeadlineMissed(), "timeout"),
        (errors.Truncated(), "connection-lost"),
        (ConnectionResetError(), "connection-lost"),
        (errors.MalformedMessage(), "invalid"),
        (errors.TooManyCandidates(), "overloaded"),
    ],
)
def test_each_error_has_one_reason(error: Exception, reason: str) -> None:
    assert failure_reason(error) == reason


def test_every_error_of_the_protocol_has_a_reason_of_the_list() -> None:
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    made = [
        kind() for kind in kinds if issubclass(kind, SmkexError) and kind not in (SmkexError, PeerAborted)
    ]
    assert len(made) > 20
    assert {failure_reason(each) for each in made} <= set(counted.HANDSHAKE_REASONS)


def test_edge_and_control_plane_have_the_same_reasons_and_bounds() -> None:
    assert counted.HANDSHAKE_REASONS == api.HANDSHAKE_REASONS
    assert counted.LATENCY_BOUNDS == api.LATENCY_BOUNDS
    body = api.ServiceFiguresBody.model_validate(Figures().of_service("shop").as_counts())
    assert body == api.ServiceFiguresBody()


def test_prometheus_has_sessions_and_failures_of_each_service() -> None:
    telemetry = Telemetry(1)
    shop = telemetry.figures.of_service("shop")
    shop.begin_session()
    shop.begin_session()
    shop.end_session()
    SessionFigures(telemetry.figures, NAMES.get).count_failure(errors.DeadlineMissed(), "shop.example")
    node = NodeIdentity(1, "edge1", Vip("main", "203.0.113.1", None, 443))
    worker: dict[str, Any] = json.loads(json.dumps(telemetry.facts()))
    families = EdgeMetrics(lambda: combine_facts(node, [worker, worker])).collect()
    values = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
    assert values["sennit_edge_service_sessions_total", "shop"] == 4
    assert values["sennit_edge_service_sessions_open", "shop"] == 2
    assert values["sennit_edge_service_handshake_failures_total", "shop", "timeout"] == 2
