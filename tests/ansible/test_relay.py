"""Role relay as its templates render it for the example inventory: what the daemon reads, and the host's settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from relay.server.settings import RelaySettings

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "ansible" / "roles" / "relay"
TEMPLATES = ["relay.toml", "sysctl.conf", "userspace.conf"]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rendered templates for each host; the role's arguments are validated on the way."""
    folder = tmp_path_factory.mktemp("relay")
    write = {
        "name": "Write",
        "ansible.builtin.template": {
            "src": f"{ROLE}/templates/{{{{ item }}}}.j2",
            "dest": f"{folder}/{{{{ inventory_hostname_short }}}}.{{{{ item }}}}",
            "mode": "0600",
        },
        "loop": TEMPLATES,
        "tags": ["write"],
        "vars": {"ansible_managed": "managed"},
    }
    play = {
        "hosts": "relays",
        "gather_facts": False,
        "roles": ["common", "relay"],
        "post_tasks": [write],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([play], width=10_000))
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "ansible-playbook", "-i", "inventories/relays"),
            *("-c", "local", "--tags", "write", "-e", "sennit_archive=a"),
            *("-e", "ansible_python_interpreter=/usr/bin/python3", folder / "play.yml"),
        ],
        cwd=ROOT / "ansible",
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Validating arguments") == 2
    return folder


def test_the_daemon_takes_the_settings_as_they_are_written(rendered: Path) -> None:
    both = RelaySettings.from_arguments(["--config", str(rendered / "relay1.relay.toml")])
    assert both.name == "relay1"
    assert [str(address) for address, _ in both.endpoints] == ["198.51.100.7", "2001:db8:7::7"]
    assert both.prefix == ("203.0.113.1/32", "2001:db8:cd::/112")
    assert both.resolver == ("198.51.100.53",)
    defaults = RelaySettings.from_arguments(["--endpoint", "192.0.2.1", "--prefix", "203.0.113.1/32"])
    kept = ("port", "network", "source_nat", "mtu", "max_peers", "listen_port")
    limits = ("peer_rate", "peer_connections", "peer_connection_rate")
    for name in (*kept, *limits):
        assert getattr(both, name) == getattr(defaults, name), name
    one = RelaySettings.from_arguments(["--config", str(rendered / "relay2.relay.toml")])
    assert one.network == ("10.72.0.0/16",)


def test_a_host_forwards_the_families_of_its_tunnels_alone(rendered: Path) -> None:
    both = (rendered / "relay1.sysctl.conf").read_text()
    assert "net.ipv4.ip_forward = 1\n" in both
    assert both.index("net.ipv6.conf.eth0.accept_ra = 2\n") < both.index("net.ipv6.conf.all.forwarding = 1\n")
    one = (rendered / "relay2.sysctl.conf").read_text()
    assert "ipv6" not in one


def test_the_drop_in_for_wireguard_go_is_that_of_the_documentation(rendered: Path) -> None:
    written = (rendered / "relay1.userspace.conf").read_text().partition("[Service]")[2]
    assert f"[Service]{written}" in (ROOT / "docs" / "relay.md").read_text()
