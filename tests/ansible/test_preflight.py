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
RIGHT: dict[str, object] = {
    **yaml.safe_load((ROLES / "common" / "defaults" / "main.yml").read_text()),
    **yaml.safe_load((ROLES / "common" / "vars" / "main.yml").read_text()),
    "kernel_outside_interface": "up0",
    "kernel_backbone_interface": "up0",
    "kernel_vip": "203.0.113.1",
    "edge_vip": "203.0.113.1",
    "edge_locator": "",
    "kernel_oldest": "4.0",
    "backbone_interface": "up0",
    "backbone_address": "10.20.0.21",
    "backbone_least_mtu": 1400,
    "backbone_mtu_to": ["10.20.0.22"],
    "backbone_mtu": 1400,
    "backbone_mtu_cure": "lower the MTU of up0",
    "backbone_wireguard_endpoint": "198.51.100.21",
    "backbone_wireguard_hosts": ["localhost"],
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
    ("kernel", "preflight", {"kernel_vip": "10.20.0.77"}, "choose an address that is routed to the edges"),
    ("backbone", "preflight", {"backbone_interface": "no0"}, "no MTU"),
    ("backbone", "preflight", {"backbone_address": "10.20.0.99"}, "must be up with address 10.20.0.99"),
    ("backbone", "preflight", {"backbone_least_mtu": 9000}, "MTU of at least 9000"),
    ("backbone", "mtu", {"backbone_mtu": 1500}, "10.20.0.22, smaller ones do: lower the MTU of up0"),
    ("edge", "preflight", {"edge_locator": "203.0.113.7"}, "203.0.113.1 must end in 0"),
    ("edge", "preflight", {"edge_vip": "198.18.7.0", "edge_locator": "198.18.7.256"}, "be 1 to 255"),
    ("backbone", "wireguard_endpoint", {"backbone_wireguard_endpoint": "edge.example"}, "set it to the IPv4"),
    ("backbone", "wireguard_peers", {"backbone_wireguard_hosts": ["other"]}, "run playbooks/backbone.yml"),
]


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
        for name, address in ((here, "10.20.0.21/24"), (far, "10.20.0.22/24")):
            _ip("-n", name, "address", "add", address, "dev", "up0")
            _ip("-n", name, "link", "set", "up0", "up")
        _ip("-n", far, "link", "set", "up0", "mtu", "1400")  # what is longer does not get there
        yield here
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
@pytest.mark.timeout(180)
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
