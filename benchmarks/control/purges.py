"""Purges: until all edges of a lab have applied one, and until up to 1,000 watchers have one.

The lab is one of its own in network namespaces (root): three edges, their agents, the control plane, a backbone. The
watchers are this process, one connection each, in long polls as agents do, at `sennit control` on SQLite in clear.
"""

import asyncio
import json
import os
import resource
import statistics
import subprocess
import time
from pathlib import Path

from balancer.control.storage.database import database_url
from benchmarks.control.fleet import FleetConnection, edge_credential, fill_database, in_portions
from benchmarks.control.heartbeats import ADMIN, Setting, running_control, temporary_folder
from benchmarks.measurement.result import Curve, Measured, Value
from lab.namespace import bringup, daemons
from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB

FLEETS = (10, 100, 1_000)
ROUNDS = 12  # purges at each number of watchers
LAB_ROUNDS = 200
TARGET = 150.0  # milliseconds


def measure(
    fleets: tuple[int, ...] = FLEETS, rounds: int = ROUNDS, lab_rounds: int = LAB_ROUNDS
) -> list[Measured]:
    """Some two minutes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found: list[Measured] = []
    if os.geteuid() == 0:
        found += _make_values("until all edges of the lab have applied one", _purge_lab(lab_rounds))
    lines: dict[str, list[tuple[float, float]]] = {"median": [], "p99": []}
    for fleet in fleets:
        with temporary_folder() as folder:
            took = asyncio.run(_purge_watchers(folder, fleet, rounds))
        lines["median"].append((fleet, statistics.median(took)))
        lines["p99"].append((fleet, _percentile_99(took)))
    found += _make_values(f"until {fleets[-1]:,} watchers have one", took)
    found.append(Curve("a purge until the watchers have it", "watchers", "ms", lines))
    return found


def _make_values(what: str, took: list[float]) -> list[Measured]:
    highest, middle = _percentile_99(took), statistics.median(took)
    return [
        Value(f"{what}, p99", "ms", "lower", highest, highest, highest, TARGET),
        Value(f"{what}, median", "ms", "lower", middle, middle, middle),
    ]


def _percentile_99(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)]


def _purge_lab(rounds: int) -> list[float]:
    with temporary_folder() as folder:
        place = LabFolder(f"pg{os.getpid()}", folder / "state")
        try:
            bringup.bring_up(place, LAB)
            lab, control = NamespaceLab(place, LAB), place.node("control")
            words = ["-m", "benchmarks.control.lab_purges", daemons.control_url(LAB), str(control / "ca.pem")]
            command = lab.command("control", "python", *words, str(control / "admin.token"), str(rounds))
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        finally:
            bringup.tear_down(place)
    took: list[float] = json.loads(done.stdout)
    return took


async def _purge_watchers(folder: Path, watchers: int, rounds: int) -> list[float]:
    """Return the milliseconds from a purge's request until each watcher has read it, over all purges."""
    fill_database(database_url(folder, None), watchers)
    async with running_control(Setting(folder)) as (port, _):
        admin, fleet = FleetConnection(port), [FleetConnection(port) for _ in range(watchers)]
        await admin.open()
        await in_portions([each.open() for each in fleet], 100)
        newest, took = 0, list[float]()

        async def wait_for_purge(edge: int, connection: FleetConnection) -> float:
            await connection.ask("GET", f"/v1/purges?after={newest}&wait=50", edge_credential(edge))
            return time.monotonic()

        for number in range(rounds):
            polls = [asyncio.create_task(wait_for_purge(edge, each)) for edge, each in enumerate(fleet, 1)]
            await asyncio.sleep(1)  # all of them wait by now
            began = time.monotonic()
            made = await admin.ask("POST", "/v1/purges", ADMIN, {"tag": f"t{number}"})
            took += [(ended - began) * 1000 for ended in await asyncio.gather(*polls)]
            newest = json.loads(made)["id"]
        for each in (admin, *fleet):
            each.close()
    return took
