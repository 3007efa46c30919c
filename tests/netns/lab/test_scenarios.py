"""What the README's first command shows, and the scenarios, in namespaces."""

import json
import os
import subprocess

import pytest

from lab.namespace.daemons import sennit_program
from lab.namespace.place import LabFolder

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")


def lab(place: LabFolder, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SENNIT_LAB_NAME": place.name, "SENNIT_LAB_STATE": str(place.folder)}
    return subprocess.run(
        [sennit_program(), "lab", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=timeout,
    )


def test_the_first_download_is_judged_with_numbers(place: LabFolder) -> None:
    done = lab(place, "run", "first-download")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("first-download (namespaces): passed\n")
    for transport in ("tcp", "mptcp"):
        assert f"{transport}: set up in" in done.stdout
        assert f"{transport}: rate" in done.stdout


@pytest.mark.timeout(600)
def test_a_phone_and_an_edge_go_on_without_ipv4(place: LabFolder) -> None:
    """By IPv6 with each transport, by an IPv6-only phone, and at an edge whose uplink has IPv6 alone."""
    done = lab(place, "run", "ipv6-only", "--json", timeout=560)
    (verdict,) = json.loads(done.stdout)
    assert verdict["ok"], json.dumps(verdict, indent=1)
    assert len(verdict["findings"]) == 24


def test_a_failed_scenario_is_reported_and_exits_non_zero(place: LabFolder) -> None:
    """The origin is away and nothing is cached: the scenario breaks off, says where, and fails."""
    nft = [*place.enter("origin"), "nft"]
    refuse = "type filter hook input priority 0; tcp dport 8080 reject with tcp reset;"
    rules = f"table inet silence {{ chain i {{ {refuse} }}; }}"
    subprocess.run([*nft, rules], check=True)
    try:
        done = lab(place, "run", "first-download")
    finally:
        subprocess.run([*nft, "delete", "table", "inet", "silence"], check=True)
    assert done.returncode == 1
    assert "broke off" in done.stdout
    assert "first-download (namespaces): FAILED" in done.stdout


def test_status_names_every_node_and_where_the_vip_is_routed(place: LabFolder) -> None:
    done = lab(place, "status")
    assert done.returncode == 0, done.stderr
    assert "ispa routes the VIP to 10.11.0.2" in done.stdout
    assert "ispb routes the VIP to 10.12.0.2" in done.stdout
    edge = next(line for line in done.stdout.splitlines() if line.startswith("edge1"))
    assert "transit routes the VIP to 10.13.0.2" in done.stdout
    assert {"bird", "agent", "edge", "smkex.server.handshake.path_manager", "forwarder"} <= set(edge.split())


def test_a_command_runs_on_a_node_and_its_status_comes_back(place: LabFolder) -> None:
    assert lab(place, "exec", "phone", "--", "sh", "-c", "exit 7").returncode == 7
    unknown = lab(place, "exec", "stranger", "--", "true")
    assert unknown.returncode == 2
    assert "phone" in unknown.stderr
