"""The lab's two services: each has its own origins, one that is made unhealthy is noticed by no client."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from lab.namespace import daemons
from lab.namespace.bringup import start_services
from lab.namespace.place import LabFolder
from lab.topology import LAB, SERVICE_NAME, SHOP_NAME

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

FRAIL = next(one for service in LAB.services for one in service.origins if one.faults)
FAULTS = f"http://{LAB.backbone_address('origin')}:{FRAIL.port}/.sennit/faults"


def fetch(place: LabFolder, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "SENNIT_KNOWN_HOSTS": str(place.node("phone") / "known_hosts"),
        "SENNIT_RESOLVERS": ",".join(f"{name}={address}" for name, address in LAB.resolvers("phone").items()),
        "SENNIT_EDGE_CACHE": "none",
    }
    command = [daemons.sennit_program(), "get", url, "-o", str(folder / "fetched")]
    return subprocess.run(
        [*place.enter("phone"), *command, "--path", "cell0", "--path", "wifi0"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )


def set_faults(place: LabFolder, *words: str) -> None:
    command = [*place.enter("origin"), "curl", "-fsS", *words, FAULTS]
    subprocess.run(command, check=True, capture_output=True, timeout=90)


def test_two_services_with_two_origins_each(place: LabFolder, tmp_path: Path) -> None:
    pages = place.node("origin") / "pages"
    pages.mkdir(exist_ok=True)
    for number in range(9):
        (pages / f"{number}.txt").write_text(f"page {number}")
    start_services(place, LAB)
    for number, name in enumerate((SERVICE_NAME, SHOP_NAME, SHOP_NAME)):
        done = fetch(place, f"smkex://{name}/pages/{number}.txt", tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "fetched").read_text() == f"page {number}"
    assert "421" in fetch(place, f"smkex://other.{SERVICE_NAME}/pages/0.txt", tmp_path).stderr
    # one origin of the shop fails every request: the other answers
    set_faults(place, "-X", "PUT", "-d", json.dumps({"status": 503}))
    for number in range(3, 9):
        done = fetch(place, f"smkex://{SHOP_NAME}/pages/{number}.txt", tmp_path)
        assert done.returncode == 0, done.stderr
    set_faults(place, "-X", "DELETE")
