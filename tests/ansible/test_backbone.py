"""The backbone inside WireGuard, as templates render it for three hosts: who may send what to whom."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BACKBONE = ROOT / "ansible" / "roles" / "backbone"
INVENTORY = """
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: /usr/bin/python3
    ansible_managed: managed
    sennit_wireguard: true
    sennit_backbone_interface: wg0
  children:
    control:
      hosts:
        c1:
          sennit_backbone_address: 10.20.0.10
          sennit_backbone_address6: fd20:5e::10
          sennit_wireguard_endpoint: 198.51.100.10
          sennit_wireguard_endpoint6: 2001:db8::10
    edges:
      hosts:
        e1:
          sennit_backbone_address: 10.20.0.21
          sennit_backbone_address6: fd20:5e::21
          sennit_wireguard_endpoint: 198.51.100.21
          sennit_wireguard_endpoint6: 2001:db8::21
        e2: {sennit_backbone_address: 10.20.0.22, sennit_wireguard_endpoint: 198.51.100.85}
        e3: {sennit_backbone_address6: "fd20:5e::23", sennit_wireguard_endpoint6: "2001:db8::23"}
"""
PLAY = """
- name: Render
  hosts: e1
  gather_facts: false
  vars_files: ["{role}/defaults/main.yml"]
  tasks:
    - name: Write
      ansible.builtin.template:
        src: "{role}/templates/{{{{ item }}}}.j2"
        dest: "{folder}/{{{{ item }}}}"
        mode: "0600"
      loop: [peers.conf, wireguard.sh, sennit-backbone.service, firewall.nft]
"""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backbone")
    for name in ("c1", "e1", "e2", "e3"):
        (folder / f"{name}.pub").write_text(name[0].upper() + name[1] + "A" * 41 + "=\n")
    (folder / "hosts.yml").write_text(INVENTORY)
    (folder / "play.yml").write_text(PLAY.format(role=BACKBONE, folder=folder))
    program = Path(sys.executable).parent / "ansible-playbook"
    done = subprocess.run(
        [
            program,
            "-i",
            folder / "hosts.yml",
            "-e",
            f"backbone_wireguard_folder={folder}",
            folder / "play.yml",
        ],
        cwd=ROOT / "ansible",
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_host_has_every_other_as_its_peer_and_not_itself(rendered: Path) -> None:
    peers = (rendered / "peers.conf").read_text()
    assert re.findall(r"^PublicKey = (..)", peers, re.MULTILINE) == ["C1", "E2", "E3"]
    assert re.findall(r"^Endpoint = (.*)", peers, re.MULTILINE) == [
        "198.51.100.10:51820",
        "198.51.100.85:51820",
        "[2001:db8::23]:51820",
    ]


def test_a_peer_may_send_in_the_name_of_its_own_addresses_alone(rendered: Path) -> None:
    peers = (rendered / "peers.conf").read_text()
    assert re.findall(r"^AllowedIPs = (.*)", peers, re.MULTILINE) == [
        "10.20.0.10/32, fd20:5e::10/128",
        "10.20.0.22/32",
        "fd20:5e::23/128",
    ]


def test_the_private_key_is_in_no_file_that_the_controller_writes(rendered: Path) -> None:
    assert "PrivateKey" not in (rendered / "peers.conf").read_text()
    script = (rendered / "wireguard.sh").read_text()
    assert "cat wireguard.key peers.conf" in script
    tasks = (BACKBONE / "tasks" / "wireguard_keys.yml").read_text()
    assert re.findall(r"src: (.*)", tasks) == ["/etc/sennit/backbone/wireguard.pub"]  # what is fetched


def test_the_interface_gets_its_address_and_an_mtu_with_room_for_wireguard(rendered: Path) -> None:
    script = (rendered / "wireguard.sh").read_text()
    assert "ip address replace 10.20.0.21/24 dev wg0" in script
    assert "ip address replace fd20:5e::21/64 dev wg0" in script
    assert "mtu 1420 up" in script
    assert subprocess.run(["sh", "-n", rendered / "wireguard.sh"]).returncode == 0


def test_only_hosts_of_the_inventory_reach_the_listening_port(rendered: Path) -> None:
    rules = (rendered / "firewall.nft").read_text()
    assert "elements = { 198.51.100.10, 198.51.100.21, 198.51.100.85 }" in rules
    assert "udp dport 51820 ip saddr != @endpoints counter drop" in rules
    assert "elements = { 2001:db8::10, 2001:db8::21, 2001:db8::23 }" in rules
    assert "udp dport 51820 ip6 saddr != @endpoints6 counter drop" in rules


def test_an_edge_routes_nothing_for_others(rendered: Path) -> None:
    """The forwarder needs ip_forward; between two outside interfaces that alone would make a router."""
    rules = (rendered / "firewall.nft").read_text()
    assert "hook forward priority filter - 10; policy drop;" in rules
