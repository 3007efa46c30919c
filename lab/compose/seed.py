"""Inside the compose lab, once: the control plane's secrets, the origin's file, and the edges' enrolment.

Everything is made afresh with the volumes, and left as it is when the lab comes up again.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from lab.enrol import TOKEN, enrol
from lab.errors import LabFailed
from lab.fleet import KEY, NAME_KEYS, certify_edge, make_fleet_key, make_name_keys
from lab.sample import SAMPLE, make_sample
from lab.secrets import SERVICE, copy_service_certificate, make_certificates, make_token, write_secret
from lab.services import origin_tls_files, publish_services
from lab.topology import CERTIFIED_NAMES, CONTROL_PORT, Topology
from node.state.catalogue import ALL
from node.state.state_file import Daemon

ACCESS = "access"


def make_secrets(topology: Topology, control: Path, origin: Path, origin_tls: Path) -> None:
    """Write certificates and admin token, `access/` for curl on the host, and the sample.

    The certificate is good for the control plane's address in the lab and for 127.0.0.1, where it is published.
    """
    make_name_keys(make_fleet_key(control), control)
    if not (control / "admin.token").exists():
        addresses = (topology.backbone_address("control"), "127.0.0.1")
        origins = (topology.backbone_address("origin"),)
        make_certificates(control, control=addresses, service=CERTIFIED_NAMES, origin=origins)
        token = make_token(control / "admin.token")
        for file in origin_tls_files(control):
            target = origin_tls / file.name
            write_secret(target, file.read_bytes())
        access = control / ACCESS
        access.mkdir(exist_ok=True)
        shutil.copy(control / "ca.pem", access / "ca.pem")
        write_secret(access / "auth", f"Authorization: Bearer {token}\n")
    if not (origin / SAMPLE).exists():
        make_sample(origin / f".{SAMPLE}")
        (origin / f".{SAMPLE}").rename(origin / SAMPLE)


def _make_operator(topology: Topology, control: Path) -> Callable[..., None]:
    """Return what runs a `sennit` command against the control plane. It raises `LabFailed`."""
    access = [
        *("--control", f"https://{topology.backbone_address('control')}:{CONTROL_PORT}"),
        *("--ca", str(control / "ca.pem"), "--token-file", str(control / "admin.token")),
    ]

    def sennit(*words: str) -> None:
        done = subprocess.run(["sennit", *words, *access], capture_output=True, text=True)
        if done.returncode:
            raise LabFailed(f"sennit {words[0]}: {done.stderr.strip()}")

    return sennit


def add_services(topology: Topology, control: Path) -> None:
    """Publish the services of the topology, whose origins run. Raises `LabFailed`."""
    publish_services(topology, control, _make_operator(topology, control))


def enrol_edges(topology: Topology, control: Path, edges: Path) -> None:
    """Write a token and the authority's certificate into every edge's folder below `edges`. Raises `LabFailed`."""
    sennit = _make_operator(topology, control)
    enrol(topology, lambda name: edges / name, sennit)
    fleet = make_fleet_key(control)
    for edge in topology.edges():
        assert edge.edge_id is not None
        if not (edges / edge.name / KEY).exists():
            certify_edge(fleet, edges / edge.name, edge.edge_id)
            copy_service_certificate(control, edges / edge.name)
            # with compose.mptcp.yml the edge is root of the same group, without the capabilities of root
            for key in (KEY, f"{SERVICE}.key"):
                (edges / edge.name / key).chmod(0o640)
            for folder in {file.folder for file in ALL if file.writer is Daemon.EDGE}:
                (edges / edge.name / folder).mkdir()
                (edges / edge.name / folder).chmod(0o770)
        write_secret(edges / edge.name / NAME_KEYS, make_name_keys(fleet, control))
        (edges / edge.name / NAME_KEYS).chmod(0o640)
        shutil.copy(control / "ca.pem", edges / edge.name / "ca.pem")
        (edges / edge.name / TOKEN).chmod(0o600)
    shutil.copy(control / "ca.pem", edges / "phone" / "ca.pem")
