"""A long download in trouble: an interface that goes and returns, a drain, an attacker. The right hash each time."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.attack.interception import intercept_connections
from lab.host import ip_commands
from lab.ipv6 import gateways_v6
from lab.namespace import daemons
from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.scenarios.download import nearest_to_first_path
from lab.topology import LAB, SERVICE_NAME, VIP

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

SIZE = int(os.environ.get("SENNIT_LONG_BYTES", 200 << 20))
RATE = 40_000_000  # bytes a second: slow enough for something to happen meanwhile
PATIENCE = 60.0  # seconds in which a tenth of it comes


class Downloading:
    """A download on the phone; `size` is what has come so far."""

    def __init__(self, place: LabFolder, output: Path, *options: str) -> None:
        self._output = output
        command = NamespaceLab(place, LAB).command(
            *("phone", "sennit", "get", f"smkex://{SERVICE_NAME}/long.bin", "-o", str(output), "--json"),
            *("--limit-rate", str(RATE), *options),
        )
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    @property
    def size(self) -> int:
        part = self._output.with_name(f"{self._output.name}.part")
        return part.stat().st_size if part.exists() else 0

    def reach(self, share: float) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.size < share * SIZE:
            assert self._process.poll() is None, self._process.communicate()[1]
            assert time.monotonic() < deadline, f"no more than {self.size:,} bytes"
            time.sleep(0.01)

    def end(self) -> dict[str, Any]:
        """Its path report."""
        _, said = self._process.communicate(timeout=PATIENCE + 10 * SIZE / RATE)
        assert self._process.returncode == 0, said
        report: dict[str, Any] = json.loads(said.splitlines()[-1])["report"]
        return report


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="module")
def wanted(place: LabFolder) -> str:
    """SHA-256 of the long file, which is put at the origin."""
    path = place.node("origin") / "long.bin"
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for n in range(SIZE >> 20):
            file.write(n.to_bytes(8, "big") + block[8:])
    return digest(path)


@contextmanager
def attacker(place: LabFolder, carrier: str, strategy: str, log: Path) -> Iterator[None]:
    command = [*place.enter(carrier), sys.executable, "-m", "lab.attack.attacker", strategy, "--path", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        while b"ready" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        with intercept_connections(NamespaceLab(place, LAB), carrier, addresses=(VIP,)):
            yield
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.mark.parametrize("interface", ["cell0", "wifi0"])
def test_an_interface_goes_down_and_comes_back(
    place: LabFolder, wanted: str, tmp_path: Path, interface: str
) -> None:
    running = Downloading(place, tmp_path / "out", "--scheduler", "aggregate")
    running.reach(0.1)
    daemons.run(place, "phone", "ip", "link", "set", interface, "down")
    try:
        running.reach(0.4)
    finally:
        daemons.run(place, "phone", "ip", "link", "set", interface, "up")
        for words in (*ip_commands(LAB, "phone"), *gateways_v6(LAB, "phone")):
            daemons.run(place, "phone", "ip", *words.split())
    report = running.end()
    assert digest(tmp_path / "out") == wanted
    assert "open" in [path["state"] for path in report["paths"] if path["interface"] == interface]
    assert report["downgrades"] == []


def test_the_owner_drains(place: LabFolder, wanted: str, tmp_path: Path) -> None:
    lab = NamespaceLab(place, LAB)
    edge = nearest_to_first_path(lab)
    running = Downloading(place, tmp_path / "out")
    running.reach(0.1)
    lab.operate("edges", "drain", edge.name)
    try:
        report = running.end()
    finally:
        lab.operate("edges", "undrain", edge.name)
        lab.wait_until_announced(edge)
    assert digest(tmp_path / "out") == wanted
    assert report["owner_id"] == edge.edge_id
    assert report["paths"][0]["state"] == "removed"
    assert report["paths"][2]["interface"] == "cell0"


def test_one_path_flips_bytes(place: LabFolder, wanted: str, tmp_path: Path) -> None:
    """On every connection over Wi-Fi again: what was changed comes by the other path, and nothing else is lost.

    On a busy machine the other path may carry everything before a record comes to the attacker: then it tries again.
    """
    log = tmp_path / "attacker.log"
    for attempt in range(3):
        output = tmp_path / f"out{attempt}"
        with attacker(place, "ispb", "flip-byte", log):
            report = Downloading(place, output, "--scheduler", "aggregate").end()
        assert digest(output) == wanted
        output.unlink()
        if "a record CHANGED" in log.read_text():
            break
    assert "a record CHANGED" in log.read_text()
    dropped = [path for path in report["paths"] if path["state"].startswith("dropped: ")]
    assert dropped
    assert {path["interface"] for path in dropped} == {"wifi0"}
