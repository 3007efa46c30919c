"""What the README's first command shows."""

import os
import subprocess

import pytest

from lab.daemons import sennit
from lab.place import Place

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")


def lab(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SENNIT_LAB_NAME": place.name, "SENNIT_LAB_STATE": str(place.folder)}
    return subprocess.run(
        [sennit(), "lab", *arguments], capture_output=True, text=True, env=environment, timeout=90
    )


def test_the_demo_downloads_over_both_transports_and_says_what_to_try(place: Place) -> None:
    done = lab(place, "demo")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("as at the origin") == 2
    assert "mptcp to 203.0.113.1" in done.stderr
    assert "sennit lab down" in done.stderr


def test_status_names_every_node_and_where_the_vip_is_routed(place: Place) -> None:
    done = lab(place, "status")
    assert done.returncode == 0, done.stderr
    assert "ispa routes the VIP to 10.11.0.2" in done.stdout
    assert "ispb routes the VIP to 10.12.0.2" in done.stdout
    edge = next(line for line in done.stdout.splitlines() if line.startswith("edge1"))
    assert {"bird", "agent", "edge", "edge.path_manager", "forwarder"} <= set(edge.split())


def test_a_command_runs_on_a_node_and_its_status_comes_back(place: Place) -> None:
    assert lab(place, "exec", "phone", "--", "sh", "-c", "exit 7").returncode == 7
    unknown = lab(place, "exec", "nobody", "--", "true")
    assert unknown.returncode == 2
    assert "phone" in unknown.stderr
