"""Two machines whose backbone is inside WireGuard: the playbooks make it, and a phone's second path goes through it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_image import ROOT, bake, release
from machine_lab import INSIDE_WIREGUARD, MachineLab

from lab.topology import SERVICE_NAME
from lab.wait import wait_for

pytestmark = [pytest.mark.needs("root", "netns", "bird", "qemu"), pytest.mark.timeout(2400)]
SIZE = 1_000_000
INVENTORY = {
    "sennit_wireguard": True,
    "sennit_backbone_interface": "wg0",
    "sennit_backbone_address": "10.254.0.{{ sennit_edge_id }}",
    "sennit_wireguard_endpoint": "10.255.0.{{ sennit_edge_id }}",
    "backbone_wireguard_hosts": ["edge1", "edge2"],
    "backbone_edges": ["10.254.0.1", "10.254.0.2"],
    "backbone_wireguard_endpoints": ["10.255.0.1", "10.255.0.2"],
    "sennit_control_listen": f"{INSIDE_WIREGUARD}:8443",
    "sennit_control_url": f"https://{INSIDE_WIREGUARD}:8443",
    "sennit_origin_listen": f"{INSIDE_WIREGUARD}:8080",
    "sennit_origin_url": f"http://{INSIDE_WIREGUARD}:8080",
}


@pytest.fixture(scope="module")
def archive() -> Path:
    return release()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Iterator[MachineLab]:
    folder = tmp_path_factory.mktemp("wireguard")
    with MachineLab(folder, bake("prepared"), ["edge1", "edge2"]) as lab:
        done = lab.playbook("site", archive, "--limit", "edge1,edge2", "-e", json.dumps(INVENTORY))
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        yield lab


def test_a_key_stays_on_its_host(lab: MachineLab) -> None:
    for name, machine in lab.machines.items():
        assert machine.run("stat", "-c", "%a %U", "/etc/sennit/backbone/wireguard.key").stdout == "600 root\n"
        public = (lab.folder / "secrets" / "wireguard" / f"{name}.pub").read_text().strip()
        assert machine.run("wg", "show", "wg0", "public-key").stdout.strip() == public
        key = machine.run("cat", "/etc/sennit/backbone/wireguard.key").stdout.strip()
        kept = [file for file in lab.folder.rglob("*") if file.is_file() and file.suffix != ".console"]
        assert not [file for file in kept if key.encode() in file.read_bytes()]


def test_a_phone_downloads_over_two_paths_and_the_tunnel_is_inside_wireguard(lab: MachineLab) -> None:
    edge1, edge2 = lab.machines["edge1"], lab.machines["edge2"]
    edge1.run("sh", "-c", f"head -c {SIZE} /dev/zero >/srv/sennit/file")
    program = str(ROOT / ".venv" / "bin" / "sennit")
    command = lab.phone(program, "get", "--verbose", f"smkex://{SERVICE_NAME}/file")

    def downloads() -> bool:
        got = subprocess.run(command, capture_output=True, timeout=120)
        return got.stdout == bytes(SIZE) and {b"1", b"2"} <= set(
            re.findall(rb"enters at edge (\d)", got.stderr)
        )

    wait_for("a download that enters at both edges", downloads, 180)
    counted = (
        edge2.run("sennit", "forwarder", "status").stdout + edge1.run("sennit", "forwarder", "status").stdout
    )
    assert re.search(r"^forwarded\s+[1-9]", counted, re.MULTILINE), counted
    assert edge2.run("wg", "show", "wg0", "transfer").stdout.split()[1] != "0"


def test_nobody_else_reaches_the_listening_port(lab: MachineLab) -> None:
    rules = lab.machines["edge1"].run("nft", "list", "table", "inet", "sennit").stdout
    assert "udp dport 51820 ip saddr != @endpoints" in rules


def test_a_restart_of_its_unit_leaves_the_forwarder_attached(lab: MachineLab) -> None:
    machine = lab.machines["edge2"]
    machine.run("systemctl", "restart", "sennit-backbone")
    ping = ("ping", "-c", "1", "-W", "2", "10.254.0.1")
    wait_for("the tunnel", lambda: machine.run(*ping, check=False).returncode == 0, 60)
    assert "bpf" in machine.run("tc", "filter", "show", "dev", "wg0", "ingress").stdout
