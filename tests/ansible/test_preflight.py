"""Preflight checks, each with something wrong, in a namespace of its own: they fail, and say what to do."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = ROOT / "ansible" / "roles"
NAMESPACES = (f"pre{os.getpid()}", f"far{os.getpid()}")
PASSWORD = 'neighbour"s secret'
NEIGHBOUR = {"name": "router1", "address": "198.51.100.17", "asn": 64500}
RIGHT: dict[str, object] = {
    **yaml.safe_load((ROLES / "common" / "defaults" / "main.yml").read_text()),
    **yaml.safe_load((ROLES / "common" / "vars" / "main.yml").read_text()),
    "kernel_outside_interface": "up0",
    "kernel_backbone_interface": "up0",
    "kernel_vips": ["203.0.113.1", "2001:db8:cd::"],
    "edge_vip": "203.0.113.1",
    "edge_vip6": "2001:db8:cd::",
    "edge_locator": "mixed",
    "edge_id": 300,
    "kernel_oldest": "4.0",
    "backbone_interface": "up0",
    "backbone_address": "10.20.0.21",
    "backbone_address6": "fd20:5e::21",
    "backbone_least_mtu": 1400,
    "backbone_mtu_to": ["10.20.0.22", "fd20:5e::22"],
    "backbone_mtu": 1400,
    "backbone_mtu6": 1400,
    "backbone_mtu_cure": "lower the MTU of up0",
    "backbone_wireguard_endpoint": "198.51.100.21",
    "backbone_wireguard_endpoint6": "",
    "bird_prefix": "203.0.113.1/32",
    "bird_prefix6": "2001:db8:cd::/48",
    "bird_neighbors": [NEIGHBOUR],
    "agent_control": "https://[fd20:5e::22]:8443",
    "agent_tunnel_v4": "",
    "agent_tunnel_v6": "fd20:5e::21",
    "backbone_wireguard_hosts": ["localhost"],
    "relay_uplink": "up0",
    "relay_userspace": True,
    "relay_prefixes": ["203.0.113.1/32", "2001:db8:cd::/112"],
    "sennit_archive": "/tmp/sennit-2-debian12-amd64.tar.gz",
}
BOOKWORM = {"distribution": "Debian", "distribution_major_version": "12", "architecture": "x86_64"}
# role, file of tasks, what is wrong, and what the message must say
WRONG: list[tuple[str, str, dict[str, object], str]] = [
    ("common", "preflight", {"fact": {"distribution": "Fedora"}}, "Releases run on debian12-amd64, "),
    (
        "common",
        "preflight",
        {"fact": {**BOOKWORM, "distribution_major_version": "13"}},
        "build one on debian13-amd64",
    ),
    ("common", "preflight", {"fact": {**BOOKWORM, "architecture": "aarch64"}}, "build one on debian12-arm64"),
    ("kernel", "preflight", {"kernel_oldest": "99.0"}, "apt-get install linux-image-amd64"),
    ("kernel", "preflight", {"kernel_outside_interface": "no0"}, "set sennit_outside_interface"),
    ("kernel", "preflight", {"kernel_vips": ["10.20.0.77"]}, "choose an address that is routed to the edges"),
    (
        "kernel",
        "preflight",
        {"kernel_vips": ["fd20:5e::77"]},
        "choose an address that is routed to the edges",
    ),
    ("backbone", "preflight", {"backbone_interface": "no0"}, "no MTU"),
    (
        "backbone",
        "preflight",
        {"backbone_address": "10.20.0.99"},
        "must be up with 10.20.0.99 and fd20:5e::21",
    ),
    ("backbone", "preflight", {"backbone_address6": "fd20:5e::99"}, "it has 10.20.0.21, fd20:5e::21"),
    (
        "backbone",
        "preflight",
        {"backbone_address": "", "backbone_address6": ""},
        "has no address on the backbone",
    ),
    ("backbone", "preflight", {"backbone_least_mtu": 9000}, "MTU of at least 9000"),
    ("backbone", "mtu", {"backbone_mtu": 1500}, "to 10.20.0.22, smaller ones do: lower the MTU of up0"),
    ("backbone", "mtu", {"backbone_mtu6": 1500}, "to fd20:5e::22, smaller ones do: lower the MTU of up0"),
    ("edge", "preflight", {"edge_locator": "address"}, "203.0.113.1 must end in 0"),
    ("edge", "preflight", {"edge_vip": "198.18.7.0", "edge_locator": "address"}, "be 1 to 255"),
    ("edge", "preflight", {"edge_vip6": "2001:db8:cd::1"}, "must end in two colons"),
    (
        "edge",
        "preflight",
        {"edge_vip": "", "edge_vip6": ""},
        "Set sennit_vip (IPv4), sennit_vip6 (IPv6) or both",
    ),
    (
        "bird",
        "preflight",
        {"bird_neighbors": [{**NEIGHBOUR, "name": "ams-1"}]},
        "letters, digits and underscores",
    ),
    ("bird", "preflight", {"bird_neighbors": [NEIGHBOUR, NEIGHBOUR]}, "that no other neighbour has"),
    (
        "bird",
        "preflight",
        {"bird_neighbors": [{**NEIGHBOUR, "address": "router"}]},
        "an IPv4 or IPv6 address",
    ),
    (
        "bird",
        "preflight",
        {"bird_neighbors": [{**NEIGHBOUR, "password": PASSWORD}]},
        "without quotation marks",
    ),
    ("bird", "preflight", {"bird_prefix": ""}, "1 neighbours with IPv4 and 0 with IPv6"),
    (
        "agent",
        "preflight",
        {"agent_control": "https://[fd20:5e::22]:8444"},
        "does not reach https://[fd20:5e::22]:8444",
    ),
    ("backbone", "wireguard_endpoint", {"backbone_wireguard_endpoint": "edge.example"}, "set it to the IPv4"),
    (
        "backbone",
        "wireguard_endpoint",
        {"backbone_wireguard_endpoint": ""},
        "sennit_wireguard_endpoint6 empty",
    ),
    ("backbone", "wireguard_endpoint", {"backbone_wireguard_endpoint6": "fe80::1"}, "that is not link-local"),
    ("backbone", "wireguard_peers", {"backbone_wireguard_hosts": ["other"]}, "run playbooks/backbone.yml"),
    ("relay", "preflight", {"relay_uplink": "no0"}, "set sennit_relay_uplink"),
    ("relay", "preflight", {"relay_prefixes": ["10.20.0.0/24"]}, "service addresses' prefixes alone"),
    ("relay", "preflight", {"relay_prefixes": ["fd20:5e::/64"]}, "service addresses' prefixes alone"),
]


CONTROL_PLANE = ("ip", "netns", "exec", NAMESPACES[1])
LISTEN = (
    "import socket, time; s = socket.create_server(('fd20:5e::22', 8443), family=socket.AF_INET6);"
    "print('.', end='', flush=True); time.sleep(600)"
)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    here, far = NAMESPACES
    try:
        for name in NAMESPACES:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", here, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", far)
        for name, host in ((here, 21), (far, 22)):
            _ip("-n", name, "address", "add", f"10.20.0.{host}/24", "dev", "up0")
            _ip("-n", name, "address", "add", f"fd20:5e::{host}/64", "dev", "up0", "nodad")
            _ip("-n", name, "link", "set", "up0", "up")
        _ip("-n", far, "link", "set", "up0", "mtu", "1400")  # what is longer does not get there
        with subprocess.Popen(
            [*CONTROL_PLANE, sys.executable, "-c", LISTEN], stdout=subprocess.PIPE
        ) as listening:
            assert listening.stdout is not None
            assert listening.stdout.read(1)
            yield here
            listening.kill()
    finally:
        for name in NAMESPACES:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def _case(role: str, tasks: str, wrong: dict[str, object], name: str) -> dict[str, object]:
    facts = wrong.get("fact", {})
    steps: list[dict[str, object]] = [
        {"include_tasks": f"{ROLES}/{role}/tasks/{tasks}.yml", "vars": {**RIGHT, **wrong}}
    ]
    if facts:
        steps.insert(0, {"set_fact": {**facts, "cacheable": True}})  # type: ignore[dict-item]
    said = {"debug": {"msg": f"SAID {name}: {{{{ ansible_failed_result | to_json }}}}"}}
    return {"block": [*steps, {"debug": {"msg": f"PASSED {name}"}}], "rescue": [said]}


@pytest.mark.needs("root", "netns")
@pytest.mark.timeout(600)
def test_what_is_wrong_is_refused_with_a_cure(namespace: str, tmp_path: Path) -> None:
    right = {
        (role, tasks): _case(role, tasks, {}, f"right {role} {tasks}")
        for role, tasks, _, _ in WRONG
        if (role, tasks) not in {("common", "preflight"), ("backbone", "wireguard_peers")}
    }
    wrong = [_case(role, tasks, what, f"{n}") for n, (role, tasks, what, _) in enumerate(WRONG)]
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": True,
        "vars": {
            "backbone_wireguard_folder": str(tmp_path),
            "ansible_python_interpreter": "/usr/bin/python3",
        },
        "tasks": [*right.values(), *wrong],
    }
    file = tmp_path / "play.yml"
    file.write_text(yaml.safe_dump([play], width=10_000))
    done = subprocess.run(
        [
            "ip",
            "netns",
            "exec",
            namespace,
            Path(sys.executable).parent / "ansible-playbook",
            "-i",
            "localhost,",
            file,
        ],
        cwd=ROOT / "ansible",
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        capture_output=True,
        text=True,
    )
    for role, tasks in right:
        assert f"PASSED right {role} {tasks}" in done.stdout, done.stdout[-6000:] + done.stderr
    for number, (role, tasks, what, words) in enumerate(WRONG):
        said = next((line for line in done.stdout.splitlines() if f"SAID {number}:" in line), "")
        assert words in said, (role, tasks, what, said or done.stdout[-6000:])
    assert "s secret" not in done.stdout + done.stderr
