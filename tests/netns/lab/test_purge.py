"""A purge goes its whole way: command, control plane, agent, purges.json, and the caches of every edge."""

import os
import subprocess
from pathlib import Path

import pytest

from lab.namespace import daemons
from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

PATHS = {"edge1": ("cell0", "wifi0"), "edge2": ("wifi0", "cell0")}  # the first decides whose cache it is


@pytest.mark.parametrize("by", ["url", "tag", "prefix", "host"])
def test_what_is_purged_is_asked_of_the_origin_again_by_every_edge(
    by: str, place: LabFolder, tmp_path: Path
) -> None:
    file = place.node("origin") / "tagged" / f"{by}.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text("old")
    assert [fetch(place, edge, by, tmp_path) for edge in PATHS] == ["old", "old"]
    file.write_text("fresh")
    assert [fetch(place, edge, by, tmp_path) for edge in PATHS] == ["old", "old"], "fresh for an hour"
    values = {
        "url": f"HTTPS://203.0.113.1:443/./tagged/{by}.txt#spelled-otherwise",
        "tag": "lab",
        "prefix": "https://203.0.113.1/tag",
        "host": "203.0.113.1",
    }
    said = NamespaceLab(place, LAB).operate("purge", f"--{by}", values[by], "--wait")
    assert "3 of 3 edges done" in said
    # it is done: no edge serves the old one any more
    assert [fetch(place, edge, by, tmp_path) for edge in PATHS] == ["fresh", "fresh"]


def fetch(place: LabFolder, edge: str, by: str, folder: Path) -> str:
    """What an edge serves for the file."""
    output = folder / "fetched"
    command = [daemons.sennit_program(), "get", f"smkex://203.0.113.1/tagged/{by}.txt", "-o", str(output)]
    paths = [word for path in PATHS[edge] for word in ("--path", path)]
    environment = {**os.environ, "SENNIT_KNOWN_HOSTS": str(place.node("phone") / "known_hosts")}
    environment["SENNIT_EDGE_CACHE"] = "none"
    output.unlink(missing_ok=True)
    done = subprocess.run(
        [*place.enter("phone"), *command, *paths, "--transport", "tcp"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return output.read_text()
