"""The example inventory as it is shipped: its templates rendered, and read by the programs that they are for."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from balancer.agent.settings import AgentSettings
from balancer.control.settings import ControlSettings
from edge.config.settings import EdgeSettings

ROOT = Path(__file__).parents[2]
ANSIBLE = ROOT / "ansible"
EDGES = ("ams1.example.net", "fra1.example.net", "lis1.example.net")
SECRETS = {
    **dict.fromkeys(
        ("sennit_vault_admin_token", "sennit_vault_control_tls_key", "sennit_control_ca"),
        "a-word-of-16-letters",
    ),
    "sennit_control_tls_certificate": "certificate",
    "sennit_vault_bgp_password": "secret",
    "ansible_managed": "managed",
    "ansible_python_interpreter": "/usr/bin/python3",
}
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Render
      ansible.builtin.include_role:
        name: "{{ item }}"
        tasks_from: render.yml
      loop: "{{ edge_roles if 'edges' in group_names else ['control'] }}"
      vars:
        edge_roles: [kernel, backbone, bird, agent, forwarder, edge]
"""


def _run_playbook(folder: Path, play: str, *words: str, prefix: tuple[str, ...] = ()) -> str:
    """Run a play on the example inventory; every role has `render.yml` beside its own tasks."""
    shutil.copytree(ANSIBLE / "roles", folder / "roles")
    for role in (folder / "roles").iterdir():
        tasks = [
            {
                "ansible.builtin.template": {
                    "src": template.name,
                    "dest": f"{folder}/{{{{ inventory_hostname }}}}/{template.name.removesuffix('.j2')}",
                    "mode": "0600",
                }
            }
            for template in sorted(role.glob("templates/*.j2"))
            if template.name != "peers.conf.j2"  # for an inventory with WireGuard: see test_backbone.py
        ]
        (role / "tasks" / "render.yml").write_text(json.dumps(tasks))
    (folder / "play.yml").write_text(play)
    (folder / "secrets.json").write_text(json.dumps({**SECRETS, "folder": str(folder)}))
    done = subprocess.run(
        [
            *(*prefix, str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventories/example"),
            *("-c", "local", "-e", f"@{folder / 'secrets.json'}", *words, str(folder / "play.yml")),
        ],
        cwd=ANSIBLE,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_ROLES_PATH": str(folder / "roles")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every template of every role, below a folder for each host."""
    folder = tmp_path_factory.mktemp("example")
    for host in (*EDGES, "control.example.net"):
        (folder / host).mkdir()
    _run_playbook(folder, PLAY)
    return folder


@pytest.mark.parametrize("host", EDGES)
@pytest.mark.needs("bird")
def test_bird_takes_its_configuration(rendered: Path, host: str) -> None:
    state = rendered / "announce.conf"
    state.write_text("disabled yes;\n")
    text = (rendered / host / "bird.conf").read_text()
    file = rendered / host / "parsed.conf"
    file.write_text(text.replace("/run/sennit-bird/announce.conf", str(state)))
    done = subprocess.run(["/usr/sbin/bird", "-p", "-c", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    channels = re.findall(r"^  (ipv[46]) \{ import none", text, re.MULTILINE)
    expected = {"ams1": ["ipv4", "ipv6"], "fra1": ["ipv4"], "lis1": ["ipv6"]}
    assert channels == expected[host.partition(".")[0]]


@pytest.mark.parametrize("host", EDGES)
@pytest.mark.needs("root", "netns")
def test_the_kernel_takes_the_firewall(rendered: Path, host: str) -> None:
    command = ["unshare", "--net", "/usr/sbin/nft", "--check", "--file", rendered / host / "firewall.nft"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rules = (rendered / host / "firewall.nft").read_text()
    assert "elements = { fd20:5e::21, fd20:5e::22, fd20:5e::23 }" in rules
    assert "elements = { 10.20.0.21, 10.20.0.22 }" in rules


@pytest.mark.parametrize("host", EDGES)
def test_the_daemons_take_their_settings(rendered: Path, host: str) -> None:
    folder = rendered / host
    agent = AgentSettings.from_arguments(["--config", str(folder / "agent.toml")])
    protocols = {"ams1": "vip,vip6", "fra1": "vip", "lis1": "vip6"}
    assert agent.bird_protocol == protocols[host.partition(".")[0]]
    assert (agent.tunnel_v4 is None) is (host == "lis1.example.net")
    assert agent.tunnel_v6 is not None
    assert EdgeSettings(**tomllib.loads((folder / "edge.toml").read_text()), _cli_parse_args=[]).metrics  # type: ignore[call-arg]


def test_the_control_plane_takes_its_settings(rendered: Path) -> None:
    file = rendered / "control.example.net" / "control.toml"
    settings = ControlSettings.from_arguments(["--config", str(file)])
    assert settings.endpoints == [("10.20.0.10", 8443), ("fd20:5e::10", 8443)]


@pytest.mark.needs("root", "netns")
def test_an_edge_gets_the_service_addresses_its_locator_and_a_discard_route(rendered: Path) -> None:
    """By the commands of the unit itself, in a namespace of its own."""
    unit = (ROOT / "packaging" / "systemd" / "sennit-vip.service").read_text()
    starts = re.findall(r"^ExecStart=/bin/sh -c '(.*)'$", unit, re.MULTILINE)
    script = "\n".join(
        [
            f". {rendered / 'lis1.example.net' / 'vip.env'}",
            "ip link set lo up",
            *(each.replace("$$", "$") for each in starts),
            "ip -o address show dev lo scope global",
            "ip -6 route show type blackhole",
        ]
    )
    done = subprocess.run(["unshare", "--net", "sh", "-euc", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"inet6? (\S+)", done.stdout)) == {
        "203.0.113.1/32",
        "2001:db8:cd::/128",
        "2001:db8:cd::3/128",
    }
    assert "blackhole 2001:db8:cd::/48" in done.stdout


@pytest.fixture
def machine() -> Iterator[str]:
    """A namespace with the interfaces and addresses of the example's IPv6-only edge."""
    name = f"example-{os.getpid()}"
    try:
        for words in (
            f"netns add {name}",
            f"-n {name} link add eth0 type veth peer name far0",
            f"-n {name} link add eth1 type veth peer name far1",
            f"-n {name} address add 2001:db8:a3::21/64 dev eth0 nodad",
            f"-n {name} address add fd20:5e::23/64 dev eth1 nodad",
            *(f"-n {name} link set {link} up" for link in ("lo", "eth0", "eth1", "far0", "far1")),
        ):
            subprocess.run(["ip", *words.split()], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.mark.needs("root", "netns", "mptcp")
def test_a_machine_with_ipv6_alone_passes_the_checks(machine: str, tmp_path: Path) -> None:
    play = [
        {
            "hosts": "lis1.example.net",
            "gather_subset": ["!all", "network"],
            "tasks": [
                {"include_role": {"name": role, "tasks_from": "preflight.yml"}}
                for role in ("kernel", "backbone", "bird", "edge")
            ],
        }
    ]
    said = _run_playbook(
        tmp_path, json.dumps(play), "-e", "kernel_oldest=4.0", prefix=("ip", "netns", "exec", machine)
    )
    assert "failed=0" in said
