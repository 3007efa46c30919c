"""Activation with 10,000 services and 50,000 hostnames: until 1,000 watchers have the new revision, and memory.

`sennit control` runs as a process of its own, on SQLite in clear. The watchers are this process, one connection each,
and wait in long polls as agents do; client and server share the machine's processors.
"""

import asyncio
import json
import resource
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert

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
from benchmarks.measurement.result import Measured, Value

SERVICES = 10_000
HOSTNAMES = 5  # of a service
WATCHERS = 1_000
ROUNDS = 20


def measure(services: int = SERVICES, watchers: int = WATCHERS, rounds: int = ROUNDS) -> list[Measured]:
    """Some two minutes."""
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
            seconds, generation = await _activate_once(admin, fleet, generation, number)
            took += seconds
        memory = resident_memory(process.pid)
        for each in (admin, *fleet):
            each.close()
    took.sort()
    named = f"{services:,} services, {services * HOSTNAMES:,} hostnames"
    return [
        _plain_value(
            f"{named}, an activation at {watchers:,} watchers, p99", "s", took[int(len(took) * 0.99)]
        ),
        _plain_value(
            f"{named}, an activation at {watchers:,} watchers, median", "s", statistics.median(took)
        ),
        _plain_value(f"{named}, what an edge gets at its start", "MB", len(whole) / 1e6),
        _plain_value(f"{named}, memory of the control plane", "MB", memory),
    ]


async def _activate_once(
    admin: FleetConnection, fleet: list[FleetConnection], known: int, number: int
) -> tuple[list[float], int]:
    """Return the seconds from the activation's request until each watcher has read it, and the new generation."""
    name = f"service{number}"
    added = await admin.ask(
        "POST", f"/v1/services/{name}/revisions", ADMIN, _make_document(number, "http://192.0.2.2")
    )
    path, tag = f"/v1/published-services?wait=50&since={known}", f'if-none-match: "{known}"\r\n'
    began = 0.0

    async def poll(edge: int, connection: FleetConnection) -> tuple[float, bytes]:
        answer = await connection.ask("GET", path, edge_credential(edge), more=tag)
        return time.monotonic() - began, answer

    polls = [asyncio.create_task(poll(edge, each)) for edge, each in enumerate(fleet, 1)]
    await asyncio.sleep(1)  # all of them wait by now
    began = time.monotonic()
    body = {"revision": json.loads(added)["number"]}
    await admin.ask("POST", f"/v1/services/{name}/activate", ADMIN, body)
    answers = await asyncio.gather(*polls)
    return [seconds for seconds, _ in answers], int(json.loads(answers[0][1])["generation"])


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


def _plain_value(name: str, unit: str, figure: float) -> Value:
    return Value(name, unit, "lower", figure, figure, figure)
