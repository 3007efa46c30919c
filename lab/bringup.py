"""Bring the lab up, step by step, and take it down from whatever state it is in."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lab import bird, daemons
from lab.daemons import LabFailed, run, start, wait_for
from lab.namespaces import build, existing, remove
from lab.place import Place
from lab.processes import end_processes
from lab.secrets import make_certificate, make_token
from lab.topology import VIP, Topology

SAMPLE = "sample.bin"
SAMPLE_BYTES = 24 << 20


def say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


def is_up(place: Place) -> bool:
    return (place.folder / "up").exists()


def up(place: Place, topology: Topology) -> None:
    """Bring everything up and wait until both ISPs route the VIP to an edge. Raises `LabFailed`."""
    if is_up(place):
        say("is up already")
        return
    if existing(place) or place.folder.exists():
        say("clearing what is left of an earlier one")
        down(place)
    started = time.monotonic()
    try:
        _up(place, topology)
    except BaseException:
        say("did not come up: logs stay in " + str(place.folder / "log") + ", `sennit lab down` clears up")
        raise
    (place.folder / "up").touch()
    say(f"up in {time.monotonic() - started:.1f} s")


def _up(place: Place, topology: Topology) -> None:
    for node in topology.nodes:
        place.node(node.name).mkdir(parents=True, mode=0o700)
    say(f"network: {len(topology.nodes)} namespaces, {len(topology.links) + len(topology.backbone)} links")
    build(place, topology)
    say("control plane and origin")
    control = place.node("control")
    make_certificate(control, topology.backbone_address("control"))
    make_token(control / "admin.token")
    _make_sample(place.node("origin") / SAMPLE)
    start(place, "control", "control", *daemons.control(place, topology))
    start(place, "origin", "origin", *daemons.origin(place, topology))
    for router in topology.routers():
        (place.node(router.name) / "bird.conf").write_text(bird.configuration(topology, router))
        start(place, router.name, "bird", *daemons.bird(place, router))
    log = place.log("control", "control")
    wait_for("the control plane's start", lambda: log.exists() and "ready" in log.read_text(), 30, log)
    _enrol(place, topology)
    for edge in topology.edges():
        wait_for(
            f"enrolment of {edge.name}",
            lambda edge=edge: (place.node(edge.name) / "node.json").exists(),  # type: ignore[misc]
            30,
            place.log(edge.name, "agent"),
        )
    say("forwarders and edges")
    for edge in topology.edges():
        start(place, edge.name, "edge", *daemons.edge(place, topology, edge))
        run(place, edge.name, *daemons.forwarder(place, edge, "load"))
        start(place, edge.name, "forwarder", *daemons.forwarder(place, edge, "run"))
    say("routes")
    for router in topology.routers():
        if router.edge_id is None:
            wait_for(
                f"a route to {VIP} at {router.name}",
                lambda router=router: next_hop(place, router.name) is not None,  # type: ignore[misc]
                40,
                place.log("edge1", "agent"),
            )
    for router in topology.routers():
        if router.edge_id is None:
            own = nearest_edge(topology, router.name)
            wait_for(
                f"{router.name}'s own edge as its nearest",
                lambda router=router, own=own: next_hop(place, router.name) == own,  # type: ignore[misc]
                20,
                place.log(router.name, "bird"),
            )


def nearest_edge(topology: Topology, router: str) -> str:
    """The address of the edge that hangs on a router."""
    return next(
        str(other.address.ip)
        for _, other, _ in topology.ends(router)
        if topology.node(other.node).edge_id is not None
    )


def _enrol(place: Place, topology: Topology) -> None:
    access = command_access(place, topology)
    run(place, "control", daemons.sennit(), "vip", "add", "main", "--v4", VIP, *access)
    for edge in topology.edges():
        token = place.node(edge.name) / "enrolment.token"
        run(
            place,
            "control",
            *(daemons.sennit(), "enrolment-token", "create", "--edge-name", edge.name),
            *("--edge-id", str(edge.edge_id), "-o", str(token), *access),
        )
        start(place, edge.name, "agent", *daemons.agent(place, topology, edge))


def command_access(place: Place, topology: Topology) -> list[str]:
    """What commands need to speak to the lab's control plane."""
    folder = place.node("control")
    return [
        *("--control", daemons.control_url(topology), "--ca", str(folder / "ca.pem")),
        *("--token-file", str(folder / "admin.token")),
    ]


def next_hop(place: Place, router: str) -> str | None:
    """Where a router sends what is for the VIP; None while it has no route."""
    done = subprocess.run(
        [*place.enter(router), "ip", "-j", "route", "show", f"{VIP}/32"], capture_output=True, text=True
    )
    routes = json.loads(done.stdout or "[]")
    return str(routes[0].get("gateway")) if routes else None


def _make_sample(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(SAMPLE_BYTES >> 20):
            file.write(os.urandom(1 << 20))


def down(place: Place) -> bool:
    """Remove processes, namespaces, mounts and files, whatever is there of them; whether there was anything."""
    there = bool(existing(place)) or place.folder.exists()
    end_processes(place)
    remove(place)
    for line in Path("/proc/mounts").read_text().splitlines():
        mounted = line.split()[1]
        if mounted.startswith(f"{place.folder}/"):
            subprocess.run(["umount", mounted], check=True)
    if place.folder.exists():
        shutil.rmtree(place.folder)
    if existing(place):
        raise LabFailed(f"these namespaces would not go: {', '.join(existing(place))}")
    return there
