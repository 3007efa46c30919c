"""One lab for all tests of this folder, with a name of its own beside a user's."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_download import GetSample
from own_lab import own_lab

from balancer.datapath.maps.counters import read_counters
from lab.namespace import daemons
from lab.namespace.place import LabFolder


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFolder]:
    with own_lab("st", tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture
def get(place: LabFolder) -> GetSample:
    """Run `sennit get` of the sample on the phone."""

    def run(
        *options: str, paths: tuple[str, ...] = ("cell0", "wifi0"), prefix: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SENNIT_KNOWN_HOSTS": str(place.node("phone") / "known_hosts")}
        given = [word for path in paths for word in ("--path", path)]
        command = [daemons.sennit_program(), "get", "smkex://203.0.113.1/sample.bin", *given, *options]
        done = subprocess.run(
            [*place.enter("phone"), *prefix, *command],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
        )
        if done.returncode:
            print(connections_and_losses(place))  # pytest shows it where the test fails
        return done

    return run


def connections_and_losses(place: LabFolder) -> str:
    """What kernels know of TCP between phone and edges, and what they and the forwarders dropped."""
    text = ""
    for node in ("phone", "ispa", "ispb", "edge1", "edge2", "edge3"):
        for command in (("ss", "-Htane"), ("nstat", "-as")):
            said = subprocess.run([*place.enter(node), *command], capture_output=True, text=True).stdout
            text += f"--- {node}: {' '.join(command)}\n{said}"
        if node.startswith("edge"):
            text += f"--- {node}: forwarder\n"
            for reason, (packets, _) in read_counters(place.node(node) / "bpf").items():
                text += f"{reason.name} {packets}\n" if packets else ""
            for daemon in ("agent", "edge"):
                text += f"--- {node}: {daemon}\n" + place.log(node, daemon).read_text()[-2000:]
    return text


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "downloaded"
