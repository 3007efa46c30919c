"""One machine: bare Debian 12 with its own kernel and systemd, provisioned by site.yml, and asked how it is."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_image import ROOT, bake, release
from machine_lab import MachineLab

from lab.topology import SERVICE_NAME
from lab.wait import wait_for

pytestmark = [pytest.mark.needs("root", "netns", "bird", "qemu"), pytest.mark.timeout(1800)]
DAEMONS = ("control", "origin", "agent", "forwarder", "edge")


@pytest.fixture(scope="module")
def archive() -> Path:
    return release()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Iterator[MachineLab]:
    with MachineLab(tmp_path_factory.mktemp("machines"), bake("prepared"), ["edge1"]) as lab:
        done = lab.playbook("site", archive, "--limit", "edge1")
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        yield lab


def test_every_daemon_runs_as_its_own_user(lab: MachineLab) -> None:
    machine = lab.machines["edge1"]
    for name in DAEMONS:
        shown = machine.run(
            "systemctl", "show", f"sennit-{name}", "-p", "ActiveState", "-p", "NRestarts", "-p", "User"
        )
        assert set(shown.stdout.split()) == {"ActiveState=active", "NRestarts=0", f"User=sennit-{name}"}
    assert machine.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


def test_the_control_plane_calls_the_edge_well(lab: MachineLab) -> None:
    machine = lab.machines["edge1"]
    shown = machine.run(
        *("sennit", "edges", "list", "--json", "--control", "https://10.255.0.1:8443"),
        *("--ca", "/etc/sennit/control/ca.pem", "--token-file", "/etc/sennit/control/admin.token"),
    )
    (edge,) = json.loads(shown.stdout)
    assert (edge["name"], edge["state"], edge["lease"]["health"]) == ("edge1", "up", "ok")


def test_the_server_itself_holds_no_net_admin(lab: MachineLab) -> None:
    status = lab.machines["edge1"].run(
        "sh", "-c", "cat /proc/$(systemctl show -p MainPID --value sennit-edge)/status"
    )
    permitted = next(line.split()[1] for line in status.stdout.splitlines() if line.startswith("CapPrm:"))
    assert not int(permitted, 16) & 1 << 12


def test_a_neighbour_hears_the_service_address_and_a_phone_downloads(lab: MachineLab) -> None:
    machine = lab.machines["edge1"]
    machine.run("sh", "-c", "head -c 1000000 /dev/zero >/srv/sennit/file")
    command = lab.phone(
        str(ROOT / ".venv" / "bin" / "sennit"), "get", "--json", f"smkex://{SERVICE_NAME}/file"
    )
    wait_for(
        "a download over two paths",
        lambda: subprocess.run(command, capture_output=True, timeout=120).stdout == bytes(1_000_000),
        120,
    )


def test_agent_and_edge_end_in_order_and_the_route_goes_first(lab: MachineLab) -> None:
    """Last: it stops what the others look at."""
    machine = lab.machines["edge1"]
    machine.run("systemctl", "stop", "sennit-agent", "sennit-edge")  # a job each: the second has to wait
    said = machine.run(
        *(
            "journalctl",
            "-u",
            "sennit-agent",
            "-u",
            "sennit-edge",
            "-o",
            "json",
            "--output-fields=MESSAGE,UNIT",
        ),
        *("_PID=1", "-n", "20"),
    )
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    stops = [(each.get("UNIT"), each["MESSAGE"].split()[0]) for each in lines]
    assert stops.index(("sennit-agent.service", "Stopped")) < stops.index(("sennit-edge.service", "Stopping"))
    assert " down " in machine.run("birdc", "show", "protocols", "vip").stdout
