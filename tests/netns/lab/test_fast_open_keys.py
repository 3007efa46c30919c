"""Fast Open keys go their whole way: command, control plane, agents, edges, and the cookies that clients hold."""

import time
from pathlib import Path

import pytest
from lab_download import GetSample

from lab.namespace import daemons
from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")


def counter(place: LabFolder, name: str) -> int:
    """A counter of the owner's kernel."""
    lines = daemons.run(place, "edge1", "cat", "/proc/net/netstat").splitlines()
    return int(dict(zip(lines[0].split(), lines[1].split(), strict=True))[name])


def test_a_cookie_from_before_a_rotation_still_saves_its_round_trip(
    place: LabFolder, get: GetSample, output: Path
) -> None:
    def download_until(name: str) -> None:
        before, until = counter(place, name), time.monotonic() + 60
        while counter(place, name) == before:
            assert time.monotonic() < until, name
            assert get("--transport", "tcp", "-o", str(output)).returncode == 0

    download_until("TCPFastOpenPassive")
    NamespaceLab(place, LAB).operate("fast-open-keys", "rotate")
    download_until("TCPFastOpenPassiveAltKey")
