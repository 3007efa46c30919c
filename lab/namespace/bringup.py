"""Bring the namespace lab up, step by step, and take it down from whatever state it is in."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lab import bird, resolver
from lab.enrol import enrol
from lab.errors import LabFailed
from lab.fleet import NAME_KEYS, certify_edge, make_fleet_key, make_name_keys
from lab.host import ip_commands
from lab.ipv6 import PREFIX6, address_v6, ip_commands_v6
from lab.namespace import daemons
from lab.namespace.daemons import run, spawn_daemon
from lab.namespace.network import build_network, existing_namespaces, remove_namespaces
from lab.namespace.place import LabFolder
from lab.namespace.processes import end_processes, wait_for_lab
from lab.sample import SAMPLE, make_sample
from lab.secrets import copy_service_certificate, make_certificates, make_token, write_secret
from lab.services import publish_services
from lab.topology import CERTIFIED_NAMES, VIP, LabNode, Topology
from node.state.catalogue import NODE, SERVICES
from services.published_file import read_applied_services


def print_progress(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


def is_up(place: LabFolder) -> bool:
    return (place.folder / "up").exists()


def bring_up(place: LabFolder, topology: Topology) -> None:
    """Bring everything up and wait until every carrier routes the VIP to its own edge. Raises `LabFailed`."""
    if is_up(place):
        print_progress("is up already")
        return
    if existing_namespaces(place) or place.folder.exists():
        print_progress("clearing what is left of an earlier one")
        tear_down(place)
    started = time.monotonic()
    try:
        _start_everything(place, topology)
    except BaseException:
        print_progress(
            "did not come up: logs stay in " + str(place.folder / "log") + ", `sennit lab down` clears up"
        )
        raise
    (place.folder / "up").touch()
    print_progress(f"up in {time.monotonic() - started:.1f} s")


def _start_everything(place: LabFolder, topology: Topology) -> None:
    for node in topology.nodes:
        place.node(node.name).mkdir(parents=True, mode=0o700)
    print_progress(
        f"network: {len(topology.nodes)} hosts, {len(topology.links) + len(topology.backbone)} links"
    )
    build_network(place, topology)
    print_progress("control plane and origin")
    control = place.node("control")
    make_certificates(
        control,
        control=(topology.backbone_address("control"),),
        service=CERTIFIED_NAMES,
        origin=(topology.backbone_address("origin"),),
    )
    make_token(control / "admin.token")
    make_sample(place.node("origin") / SAMPLE)
    spawn_daemon(place, "control", "control", *daemons.control_command(place, topology))
    spawn_daemon(place, "origin", "origin", *daemons.origin_command(place, topology))
    for node in topology.nodes:
        if node.resolves:
            spawn_daemon(place, node.name, "resolver", *resolver.resolver_command(topology, node.name))
    for router in topology.routers():
        _start_bird(place, topology, router)
    log = place.log("control", "control")
    wait_for_lab(
        place, "the control plane's start", lambda: log.exists() and "ready" in log.read_text(), 30, log
    )
    access = command_access(place, topology)
    enrol(
        topology,
        place.node,
        lambda *words: run(place, "control", daemons.sennit_program(), *words, *access),
    )
    fleet = make_fleet_key(place.node("control"))
    for edge in topology.edges():
        assert edge.edge_id is not None
        certify_edge(fleet, place.node(edge.name), edge.edge_id)
        write_secret(place.node(edge.name) / NAME_KEYS, make_name_keys(fleet, place.node("control")))
        copy_service_certificate(control, place.node(edge.name))
    print_progress("agents, forwarders and edges")
    for edge in topology.edges():
        spawn_daemon(place, edge.name, "agent", *daemons.agent_command(place, topology, edge))
    for edge in topology.edges():
        _start_datapath_and_server(place, topology, edge)
    print_progress("routes")
    for carrier in topology.carriers():
        _wait_for_nearest(place, topology, carrier)


def start_services(place: LabFolder, topology: Topology) -> None:
    """Start the services' own origins and publish the services. Raises `LabFailed`."""
    if not is_up(place):
        raise LabFailed("the lab is not up: `sennit lab up` first")
    mark = place.folder / "services"
    if not mark.exists():
        for origin in topology.added_origins():
            daemon = f"origin-{origin.name}"
            command = daemons.added_origin_command(place, topology, origin)
            process = spawn_daemon(place, "origin", daemon, *command)
            _wait_for_origin(place, daemon, process)
        mark.touch()
    access = command_access(place, topology)
    publish_services(
        topology,
        place.node("control"),
        lambda *words: run(place, "control", daemons.sennit_program(), *words, *access),
    )
    for edge in topology.edges():
        wait_for_lab(
            place,
            f"the services at {edge.name}",
            lambda edge=edge: _serves_all(place, topology, edge),  # type: ignore[misc]
            30,
            place.log(edge.name, "edge"),
        )


def _wait_for_origin(place: LabFolder, daemon: str, process: "subprocess.Popen[bytes]") -> None:
    log = place.log("origin", daemon)

    def is_started() -> bool:
        if process.poll() is not None:
            raise LabFailed(f"{daemon} has ended: {log.read_text()[-500:]}")
        return "Uvicorn running" in log.read_text()

    wait_for_lab(place, f"the start of {daemon}", is_started, 30, log)


def _serves_all(place: LabFolder, topology: Topology, edge: LabNode) -> bool:
    try:
        applied = read_applied_services(place.node(edge.name))
        found = SERVICES.read_text(place.node(edge.name))
    except (OSError, ValueError):
        return False
    generation = int(found.partition('"generation":')[2].partition(",")[0])
    names = all(f'"name":"{service.name}"' in found for service in topology.services)
    return names and applied.generation == generation and not applied.refused


def start_edge(place: LabFolder, topology: Topology, edge: LabNode) -> None:
    """Start all daemons of an edge whose host was lost, and wait until its carrier routes the VIP to it."""
    for words in ip_commands(topology, edge.name) + ip_commands_v6(topology, edge.name):
        run(place, edge.name, "ip", *words.split())
    _start_bird(place, topology, edge)
    spawn_daemon(place, edge.name, "agent", *daemons.agent_command(place, topology, edge))
    _start_datapath_and_server(place, topology, edge)
    wait_until_announced(place, topology, edge)


def _start_bird(place: LabFolder, topology: Topology, router: LabNode) -> None:
    folder = place.node(router.name)
    bird.reset(folder)
    (folder / "bird.conf").write_text(bird.bird_configuration(topology, router, folder))
    spawn_daemon(place, router.name, "bird", *daemons.bird_command(place, router))


def start_server(place: LabFolder, topology: Topology, edge: LabNode) -> None:
    """Start the edge's server alone."""
    spawn_daemon(place, edge.name, "edge", *daemons.edge_command(place, topology, edge))


def start_daemon(place: LabFolder, topology: Topology, node: LabNode, daemon: str, *options: str) -> None:
    """Start one daemon of a node again; `options` are added."""
    commands: dict[str, Callable[[], list[str]]] = {
        "agent": lambda: daemons.agent_command(place, topology, node),
        "bird": lambda: daemons.bird_command(place, node),
        "control": lambda: daemons.control_command(place, topology),
        "edge": lambda: daemons.edge_command(place, topology, node),
        "origin": lambda: daemons.origin_command(place, topology),
    }
    spawn_daemon(place, node.name, daemon, *commands[daemon](), *options)


def wait_until_announced(place: LabFolder, topology: Topology, edge: LabNode) -> None:
    for carrier in topology.carriers():
        if topology.nearest_edge(carrier.name) is edge:
            _wait_for_nearest(place, topology, carrier)


def _start_datapath_and_server(place: LabFolder, topology: Topology, edge: LabNode) -> None:
    enrolled = NODE.path_in(place.node(edge.name))
    wait_for_lab(place, f"enrolment of {edge.name}", enrolled.exists, 30, place.log(edge.name, "agent"))
    start_server(place, topology, edge)
    run(place, edge.name, *daemons.probe_command(place, edge, "up"))
    run(place, edge.name, *daemons.forwarder_command(place, edge, "load"))
    spawn_daemon(place, edge.name, "forwarder", *daemons.forwarder_command(place, edge, "run"))
    spawn_daemon(place, daemons.prober_node(edge), "probe", *daemons.probe_command(place, edge, "run"))


def _wait_for_nearest(place: LabFolder, topology: Topology, carrier: LabNode) -> None:
    edge = topology.nearest_edge(carrier.name)
    end = next(own for own, other, _ in topology.ends(edge.name) if other.node == carrier.name)
    for prefix, address in ((f"{VIP}/32", end.address.ip), (PREFIX6, address_v6(end).ip)):
        wait_for_lab(
            place,
            f"a route of {carrier.name} to {prefix} through {edge.name}",
            lambda prefix=prefix, address=address: next_hop(place, carrier.name, prefix) == str(address),  # type: ignore[misc]
            40,
            place.log(edge.name, "agent"),
        )


def command_access(place: LabFolder, topology: Topology) -> list[str]:
    """What commands need to speak to the lab's control plane."""
    folder = place.node("control")
    return [
        *("--control", daemons.control_url(topology), "--ca", str(folder / "ca.pem")),
        *("--token-file", str(folder / "admin.token")),
    ]


def next_hop(place: LabFolder, router: str, prefix: str = f"{VIP}/32") -> str | None:
    """Where a router sends what is for the VIP; None while it has no route."""
    version = "-6" if ":" in prefix else "-4"
    command = [*place.enter(router), "ip", version, "-j", "route", "show", prefix]
    done = subprocess.run(command, capture_output=True, text=True)
    routes = json.loads(done.stdout or "[]")
    return str(routes[0].get("gateway")) if routes else None


def tear_down(place: LabFolder) -> bool:
    """Remove processes, namespaces, mounts and files, whatever is there of them; whether there was anything."""
    there = bool(existing_namespaces(place)) or place.folder.exists()
    end_processes(place)
    remove_namespaces(place)
    for line in Path("/proc/mounts").read_text().splitlines():
        mounted = line.split()[1]
        if mounted.startswith(f"{place.folder}/"):
            subprocess.run(["umount", mounted], check=True)
    if place.folder.exists():
        shutil.rmtree(place.folder)
    if existing_namespaces(place):
        raise LabFailed(f"these namespaces would not go: {', '.join(existing_namespaces(place))}")
    return there
