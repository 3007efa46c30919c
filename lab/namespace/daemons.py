"""The command lines of everything that runs in the namespaces, and how they are started."""

import subprocess
import sys
from pathlib import Path

from lab.bird import STATE_FILE
from lab.enrol import TOKEN
from lab.errors import LabFailed
from lab.fleet import CERTIFICATE, KEY, NAME_KEYS
from lab.ipv6 import backbone_address_v6
from lab.namespace.place import LabFolder
from lab.namespace.processes import record_process
from lab.services import origin_options
from lab.topology import CONTROL_PORT, ORIGIN_PORT, LabNode, LabOrigin, Topology

DEADMAN = 5  # seconds from an agent's death to the end of its announcement


def sennit_program() -> str:
    """The command of this installation."""
    return str(Path(sys.executable).with_name("sennit"))


def spawn_daemon(place: LabFolder, node: str, daemon: str, *command: str) -> subprocess.Popen[bytes]:
    """Start a daemon on a node; it outlives us and writes to its own log."""
    log = place.log(node, daemon)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*place.enter(node), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    record_process(place, process.pid)
    return process


def run(place: LabFolder, node: str, *command: str) -> str:
    """Run a command on a node to its end; raises `LabFailed` with what it said."""
    done = subprocess.run([*place.enter(node), *command], capture_output=True, text=True)
    if done.returncode:
        raise LabFailed(f"on {node}: {' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def control_command(place: LabFolder, topology: Topology) -> list[str]:
    folder = place.node("control")
    return [
        *(sennit_program(), "control", "--state", str(folder)),
        *("--listen", f"{topology.backbone_address('control')}:{CONTROL_PORT}"),
        *("--admin-token-file", str(folder / "admin.token")),
        *("--tls-certificate", str(folder / "control.pem"), "--tls-key", str(folder / "control.key")),
    ]


def origin_command(place: LabFolder, topology: Topology) -> list[str]:
    listen = f"{topology.backbone_address('origin')}:{ORIGIN_PORT}"
    serve = [sennit_program(), "origin", "--directory", str(place.node("origin")), "--listen", listen]
    return [*serve, "--cache-tags", "/tagged/*=lab", "--cache-control", "/tagged/*=public, max-age=3600"]


def added_origin_command(place: LabFolder, topology: Topology, origin: LabOrigin) -> list[str]:
    """The command line of an origin that only a service has."""
    options = origin_options(topology, origin, place.node("control"))
    return [sennit_program(), "origin", "--directory", str(place.node("origin")), *options]


def control_url(topology: Topology) -> str:
    return f"https://{topology.backbone_address('control')}:{CONTROL_PORT}"


def agent_command(place: LabFolder, topology: Topology, node: LabNode) -> list[str]:
    folder = place.node(node.name)
    return [
        *(sennit_program(), "agent", "--state", str(folder), "--name", node.name, "--site", node.site),
        *("--control", control_url(topology), "--ca", str(place.node("control") / "ca.pem")),
        *("--tunnel-v4", topology.backbone_address(node.name)),
        *("--tunnel-v6", backbone_address_v6(topology, node.name), "--bird-protocol", "vip,vip6"),
        *("--enrolment-token-file", str(folder / TOKEN)),
        *("--bird-socket", str(folder / "bird.ctl"), "--bird-state-file", str(folder / STATE_FILE)),
        *("--deadman-seconds", str(DEADMAN)),
        *("--outside-v4", topology.outside_address(node.name)),
    ]


def forwarder_command(place: LabFolder, node: LabNode, action: str) -> list[str]:
    folder = place.node(node.name)
    command = [sennit_program(), "forwarder", action, "--state", str(folder), "--bpffs", str(folder / "bpf")]
    if action == "load":
        command += ["--outside", "up0", "--outside", "probe0", "--backbone", "bb0"]
    return command


def prober_node(node: LabNode) -> str:
    """The namespace that an edge is probed from, as the lab names nodes."""
    return f"{node.name}-probe"


def probe_command(place: LabFolder, node: LabNode, action: str) -> list[str]:
    command = [sennit_program(), "probe", action, "--state", str(place.node(node.name))]
    return command if action == "run" else [*command, "--namespace", place.namespace(prober_node(node))]


def edge_command(place: LabFolder, topology: Topology, node: LabNode) -> list[str]:
    folder = place.node(node.name)
    upstream = f"http://{topology.backbone_address('origin')}:{ORIGIN_PORT}"
    return [
        *(sennit_program(), "edge", "--state", str(folder), "--upstream", upstream),
        *("--cache", str(folder / "cache"), "--access-log", f"file:{folder / 'access.log'}"),
        *("--tls-certificate", str(folder / "service.pem"), "--tls-key", str(folder / "service.key")),
        *("--tofu-key", str(folder / KEY), "--tofu-certificate", str(folder / CERTIFICATE)),
        *("--name-keys", str(folder / NAME_KEYS)),
    ]


def bird_command(place: LabFolder, node: LabNode) -> list[str]:
    folder = place.node(node.name)
    return [
        "bird",
        "-f",
        "-c",
        str(folder / "bird.conf"),
        "-s",
        str(folder / "bird.ctl"),
        "-P",
        str(folder / "bird.pid"),
    ]
