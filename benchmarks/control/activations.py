"""Activation with 10,000 services and 50,000 hostnames: until 1,000 watchers have the new revision, and until three
edges serve it; memory.

`sennit control` runs as a process of its own, on SQLite in clear. The watchers are this process, one connection each,
and wait in long polls as agents do; client and server share the machine's processors. Each of the three edges is a
process of `sennit edge`, to which this process hands the services as an agent does, by the agent's own code.
"""

import asyncio
import base64
import json
import resource
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert

from balancer.agent.sync.service_follower import ServiceSync
from balancer.api.services_client import ServicesClient
from balancer.control.storage.database import database_url
from balancer.control.storage.records import (
    ServiceGenerationRecord,
    ServiceHostnameRecord,
    ServiceRecord,
    ServiceRevisionRecord,
)
from benchmarks.control.fleet import FleetConnection, edge_credential, fill_database, in_portions
from benchmarks.control.heartbeats import (
    ADMIN,
    Setting,
    resident_memory,
    running_control,
    temporary_folder,
)
from benchmarks.measurement.processors import processor_seconds
from benchmarks.measurement.result import Measured, Value
from benchmarks.services.processes import RunningEdge, running_edge
from node.state import catalogue
from node.state.table_key import pin_table_key
from services.stored_changes import ServiceWriter, read_services

SERVICES = 10_000
HOSTNAMES = 5  # of a service
WATCHERS = 1_000
EDGES = 3
ROUNDS = 15
IDLE_SECONDS = 0.1
TARGET_WATCHERS = 150.0  # milliseconds
TARGET_EDGES = 1.0  # seconds


def measure(services: int = SERVICES, watchers: int = WATCHERS, rounds: int = ROUNDS) -> list[Measured]:
    """Some seventy seconds."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with temporary_folder() as folder:
        return asyncio.run(_measure_activations(folder, services, watchers, rounds))


async def _measure_activations(folder: Path, services: int, watchers: int, rounds: int) -> list[Measured]:
    fill_database(database_url(folder, None), watchers)
    fill_services(folder, services)
    async with running_control(Setting(folder)) as (port, process):
        admin = FleetConnection(port)
        await admin.open()
        fleet = [FleetConnection(port) for _ in range(watchers)]
        await in_portions([each.open() for each in fleet], 100)
        whole = await fleet[0].ask("GET", "/v1/published-services", edge_credential(1))
        generation, took = int(json.loads(whole)["generation"]), []
        for number in range(rounds):
            await _wait_until_idle(process.pid)
            seconds, generation = await _activate_once(admin, fleet, generation, number, process.pid)
            took += seconds
        memory = resident_memory(process.pid)
        for each in fleet:
            each.close()
        in_force, edge_memory = await _measure_edges(folder, port, admin, rounds)
        admin.close()
    named = f"{services:,} services, {services * HOSTNAMES:,} hostnames"
    at_watchers = f"{named}, an activation at {watchers:,} watchers"
    at_edges = f"{named}, an activation in force at {EDGES} edges"
    return [
        _plain_value(f"{at_watchers}, p99", "ms", 1000 * _find_percentile(took, 0.99), TARGET_WATCHERS),
        _plain_value(f"{at_watchers}, median", "ms", 1000 * statistics.median(took)),
        _plain_value(f"{at_edges}, p99", "s", _find_percentile(in_force, 0.99), TARGET_EDGES),
        _plain_value(f"{at_edges}, median", "s", statistics.median(in_force)),
        _plain_value(f"{named}, what an edge gets at its start", "MB", len(whole) / 1e6),
        _plain_value(f"{named}, memory of the control plane", "MB", memory),
        _plain_value(f"{named}, memory of an edge with one process", "MB", edge_memory),
    ]


def _find_percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


async def _activate_once(
    admin: FleetConnection, fleet: list[FleetConnection], known: int, number: int, control: int
) -> tuple[list[float], int]:
    """Return the seconds from the activation's request until each watcher has read it, and the new generation."""
    activate = await _add_revision(admin, number, "http://192.0.2.2")
    path, tag = f"/v1/published-services?wait=50&since={known}", f'if-none-match: "{known}"\r\n'
    began = 0.0

    async def poll(edge: int, connection: FleetConnection) -> tuple[float, bytes]:
        answer = await connection.ask("GET", path, edge_credential(edge), more=tag)
        return time.monotonic() - began, answer

    polls = [asyncio.create_task(poll(edge, each)) for edge, each in enumerate(fleet, 1)]
    await _wait_until_idle(control)  # all of them wait
    began = time.monotonic()
    await activate()
    answers = await asyncio.gather(*polls)
    return [seconds for seconds, _ in answers], int(json.loads(answers[0][1])["generation"])


async def _add_revision(
    admin: FleetConnection, number: int, url: str
) -> Callable[[], Coroutine[Any, Any, bytes]]:
    """Add a revision to a service; return what activates it."""
    path = f"/v1/services/service{number}"
    added = await admin.ask("POST", f"{path}/revisions", ADMIN, _make_document(number, url))
    body = {"revision": json.loads(added)["number"]}
    return lambda: admin.ask("POST", f"{path}/activate", ADMIN, body)


async def _wait_until_idle(pid: int) -> None:
    """Wait until a process has used next to no processor time for a while."""
    async with asyncio.timeout(60):
        used, before = processor_seconds(pid), float("-inf")
        while used - before > IDLE_SECONDS * 0.1:
            await asyncio.sleep(IDLE_SECONDS)
            used, before = processor_seconds(pid), used


async def _measure_edges(
    folder: Path, port: int, admin: FleetConnection, rounds: int
) -> tuple[list[float], float]:
    """Return the seconds from an activation's request until each edge has it in force, and an edge's memory in MB."""
    key = base64.b64decode(json.loads(await admin.ask("GET", "/v1/table/key", ADMIN))["key"])
    took: list[float] = []
    async with AsyncExitStack() as stack:
        edges = [
            await stack.enter_async_context(_followed_edge(folder / f"edge{number}", number, port, key))
            for number in range(1, EDGES + 1)
        ]
        for edge in edges:
            await _wait_for_later(edge, 0)
        generation = min(edge.applied for edge in edges)
        for number in range(rounds):
            activate = await _add_revision(admin, number, "http://192.0.2.3")
            for edge in edges:
                await _wait_until_idle(edge.pid)
            began = time.monotonic()
            _, *arrived = await asyncio.gather(
                activate(), *(_wait_for_later(edge, generation) for edge in edges)
            )
            took += [at - began for at in arrived]
            generation = min(edge.applied for edge in edges)
        return took, max(resident_memory(edge.pid) for edge in edges)


@asynccontextmanager
async def _followed_edge(folder: Path, number: int, port: int, key: bytes) -> AsyncIterator[RunningEdge]:
    """Run an edge whose services are those that the control plane publishes."""
    state = folder / "state"
    state.mkdir(parents=True)
    catalogue.SERVICES.create_folder(state)
    pin_table_key(state, key)
    writer = ServiceWriter(state)
    sync = ServiceSync(
        lambda: read_services(state, (key,)),
        lambda fresh: fresh.verify(key),
        writer.store,
        writer.is_stored,
    )
    async with ServicesClient(f"http://127.0.0.1:{port}", edge_credential(number)) as client:
        following = asyncio.create_task(sync.follow(client))
        try:
            async with running_edge(folder, number) as edge:
                yield edge
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _wait_for_later(edge: RunningEdge, generation: int) -> float:
    """Return when an edge has a later generation in force, within the 5 ms between two looks."""
    async with asyncio.timeout(120):
        while edge.applied <= generation:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return time.monotonic()


def fill_services(folder: Path, services: int) -> None:
    """Services with an active revision each, as rows."""
    engine, now = create_engine(database_url(folder, None)), datetime.now(UTC)
    numbered = [
        (f"service{number}", _make_document(number, "http://192.0.2.1")) for number in range(services)
    ]
    with engine.begin() as connection:
        service = {"created_at": now, "newest": 1, "active": 1, "previous": None, "revision": 0}
        connection.execute(insert(ServiceRecord), [service | {"name": name} for name, _ in numbered])
        revision = {"number": 1, "created_at": now, "created_by": "benchmark", "why": "", "activated_at": now}
        revisions = [revision | {"service": name, "document": document} for name, document in numbered]
        connection.execute(insert(ServiceRevisionRecord), revisions)
        hostnames = [
            {"service": name, "hostname": hostname}
            for name, document in numbered
            for hostname in document["hostnames"]
        ]
        connection.execute(insert(ServiceHostnameRecord), hostnames)
        generation = {"generation": 1, "published_at": now, "services": []}
        connection.execute(insert(ServiceGenerationRecord), [generation])
    engine.dispose()


def _make_document(number: int, url: str) -> dict[str, Any]:
    return {
        "kind": "http",
        "hostnames": [f"www{each}.customer{number}.example" for each in range(HOSTNAMES)],
        "origins": [
            {"name": "eu", "url": url, "weight": 2},
            {"name": "us", "url": "https://origin.example", "group": "backup"},
        ],
        "cache": [
            {"path": "/images/*", "lifetimes": {"default": 3600.0}},
            {"path": "/api/*", "bypass": True},
        ],
    }


def _plain_value(name: str, unit: str, figure: float, target: float | None = None) -> Value:
    return Value(name, unit, "lower", figure, figure, figure, target)
