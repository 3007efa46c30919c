"""One machine: Debian 12 with systemd in a container, provisioned by site.yml, and asked how it is."""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from containers import ContainerLab
from debian_image import ROOT, bake, release
from provisioned import DAEMONS, failed_units, holds_net_admin, state_of, stop_agent_and_edge

from lab.topology import LAB, SERVICE_NAME
from lab.wait import wait_for

pytestmark = [pytest.mark.needs("root", "netns", "bcc", "bird", "container"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def archive() -> Path:
    return release()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Iterator[ContainerLab]:
    with ContainerLab(tmp_path_factory.mktemp("machines"), bake("root"), ["edge1"]) as lab:
        done = lab.playbook("site", archive, "--limit", "edge1")
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        yield lab


def test_every_daemon_runs_as_its_own_user(lab: ContainerLab) -> None:
    machine = lab.machines["edge1"]
    for name in (*DAEMONS, "probe"):
        assert state_of(machine, name) == {"ActiveState=active", "NRestarts=0", f"User=sennit-{name}"}
    assert failed_units(machine) == ""


def test_the_control_plane_calls_the_edge_well(lab: ContainerLab) -> None:
    shown = lab.machines["edge1"].run(
        *("sennit", "edges", "list", "--json", "--control", f"https://{lab.control}:8443"),
        *("--ca", "/etc/sennit/control/ca.pem", "--token-file", "/etc/sennit/control/admin.token"),
    )
    (edge,) = json.loads(shown.stdout)
    assert (edge["name"], edge["state"], edge["lease"]["health"]) == ("edge1", "up", "ok")


def test_man_pages_and_completion_are_those_of_the_running_release(lab: ContainerLab) -> None:
    machine = lab.machines["edge1"]
    for link in (
        *("man/man1/sennit.1", "man/man1/sennit-edges.1", "bash-completion/completions/sennit"),
        *("zsh/site-functions/_sennit", "fish/vendor_completions.d/sennit.fish"),
    ):
        shown = machine.run("realpath", "--canonicalize-existing", f"/usr/local/share/{link}").stdout.strip()
        assert re.fullmatch(rf"/opt/sennit/[^/]+/share/{link}", shown), shown


def test_the_server_itself_holds_no_net_admin(lab: ContainerLab) -> None:
    machine = lab.machines["edge1"]
    assert holds_net_admin(machine, "ssh")
    assert not holds_net_admin(machine, "sennit-edge")


def test_it_probes_itself_as_a_client_would(lab: ContainerLab) -> None:
    machine = lab.machines["edge1"]

    def own() -> bool:
        said = json.loads(machine.run("cat", "/var/lib/sennit/probe/probes.json").stdout)
        return [(each["name"], each["ok"]) for each in said["results"]] == [("probe-service", True)]

    wait_for("a probe", own, 60)
    attached = machine.run("tc", "filter", "show", "dev", "probe0", "ingress").stdout
    assert "bpf" in attached


def test_its_agent_can_be_asked_from_outside_by_other_edges_alone(lab: ContainerLab) -> None:
    machine, address = lab.machines["edge1"], LAB.outside_address("edge1")
    assert f"{address}:8444" in machine.run("ss", "-Hltn", "sport", "=", ":8444").stdout
    rules = machine.run("nft", "list", "table", "inet", "sennit").stdout
    assert "tcp dport 8444 ip saddr @outside_edges accept" in rules
    stranger = lab.phone("curl", "--silent", "--max-time", "2", f"http://{address}:8444/")
    assert subprocess.run(stranger, capture_output=True).returncode == 28  # it waits in vain


def test_a_neighbour_hears_the_service_address_and_a_phone_downloads(lab: ContainerLab) -> None:
    lab.machines["edge1"].run("sh", "-c", "head -c 1000000 /dev/zero >/srv/sennit/file")
    command = lab.phone(
        str(ROOT / ".venv" / "bin" / "sennit"), "get", "--json", f"smkex://{SERVICE_NAME}/file"
    )
    wait_for(
        "a download over two paths",
        lambda: subprocess.run(command, capture_output=True, timeout=120).stdout == bytes(1_000_000),
        120,
    )


def test_what_an_earlier_release_left_for_the_group_is_readable_by_its_reader_alone(
    lab: ContainerLab, archive: Path
) -> None:
    machine = lab.machines["edge1"]
    left = {"agent/shield.json": "sennit-agent", "edge/services-applied.json": "sennit-edge"}
    for name, owner in left.items():
        path = f"/var/lib/sennit/{name}"
        machine.run("sh", "-c", f"echo '{{}}' >{path} && chown {owner}:sennit {path} && chmod 0640 {path}")
    done = lab.playbook("site", archive, "--limit", "edge1")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    shown = machine.run(
        "sh", "-c", "cd /var/lib/sennit; stat -c '%n %U %G %a' */shield.json */services*.json"
    )
    found = dict(line.split(" ", 1) for line in shown.stdout.splitlines())
    assert not left.keys() & found.keys()
    assert found["agent-edge/shield.json"] == "sennit-agent sennit-edge 640"
    assert found["edge-agent/services-applied.json"] == "sennit-edge sennit-agent 640"
    assert found["agent-edge/services.json"] == "sennit-agent sennit-edge 640"
    for user in ("sennit-forwarder", "sennit-probe"):
        read = (
            "runuser",
            "-u",
            user,
            "-g",
            "sennit",
            "--",
            "cat",
            "/var/lib/sennit/agent-edge/services.json",
        )
        assert "Permission denied" in machine.run(*read, check=False).stderr


def test_the_edge_has_no_compiler(lab: ContainerLab) -> None:
    machine = lab.machines["edge1"]
    assert "programs: object compiled ahead" in machine.run("sennit", "forwarder", "status").stdout
    found = machine.run("sh", "-c", "find / -xdev -name 'libLLVM*' -o -xdev -name 'libclang*'").stdout
    assert found == ""


def test_the_prober_goes_when_the_inventory_says_so_and_the_edge_announces_on(
    lab: ContainerLab, archive: Path
) -> None:
    machine = lab.machines["edge1"]

    def prober() -> set[str]:
        paths = (
            "/etc/systemd/system/sennit-probe.service",
            "/etc/systemd/system/sennit-probe-namespace.service",
            "/var/lib/sennit/probe/probes.json",
            "/run/netns/sennit-probe",
            "/sys/class/net/probe0",
        )
        return set(machine.run("ls", "-d", *paths, check=False).stdout.split())

    def attached() -> list[str]:
        placed = json.loads(machine.run("cat", "/var/lib/sennit/forwarder/forwarder.json").stdout)
        return list(placed["outside"])

    def announced() -> tuple[str, datetime]:
        """What BIRD says of the protocol, and when it last changed."""
        shown = machine.run("birdc", "show", "protocols", "vip").stdout
        changed = re.search(r"\d+:\d+:\d+\.\d+", shown)
        assert changed is not None
        return shown.replace(changed[0], ""), datetime.strptime(changed[0], "%H:%M:%S.%f")

    before, changed = announced()
    assert " up " in before
    assert len(prober()) == 5
    assert attached() == ["up0", "probe0"]
    options = ("--limit", "edge1", "-e", "sennit_probes=false")
    done = lab.playbook("site", archive, *options)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert prober() == set()
    assert attached() == ["up0"]
    assert failed_units(machine) == ""
    after, changed_after = announced()
    assert after == before
    # BIRD works the time out anew from two clocks
    assert abs(changed_after - changed) < timedelta(seconds=0.5)
    assert re.findall(r"changed=(\d+)", lab.playbook("site", archive, *options).stdout) == ["0"]


def test_agent_and_edge_end_in_order_and_the_route_goes_first(lab: ContainerLab) -> None:
    """Last: it stops what the others look at."""
    machine = lab.machines["edge1"]
    stops = stop_agent_and_edge(machine)
    assert stops.index(("sennit-agent.service", "Stopped")) < stops.index(("sennit-edge.service", "Stopping"))
    assert " down " in machine.run("birdc", "show", "protocols", "vip").stdout
