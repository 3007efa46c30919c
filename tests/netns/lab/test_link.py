"""`sennit lab link`: the lab's links made slow by command, under downloads that go on."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from lab_download import GetSample

from lab.emulation.rtt import measure
from lab.namespace.daemons import sennit_program
from lab.namespace.place import LabFolder
from lab.sample import SAMPLE_BYTES

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

ROUND_TRIP = 0.08  # seconds of twice 50 ms: on a busy machine the emulator may be calibrated too short


def link(place: LabFolder, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SENNIT_LAB_NAME": place.name, "SENNIT_LAB_STATE": str(place.folder)}
    return subprocess.run(
        [sennit_program(), "lab", "link", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )


def test_a_download_takes_the_time_of_its_slow_second_path(
    place: LabFolder, get: GetSample, output: Path
) -> None:
    done = link(place, "phone-ispb", "--delay", "50ms", "--rate", "50Mbit")
    try:
        assert done.returncode == 0, done.stderr
        assert re.search(r"^phone-ispb: 50 ms one way, 50 Mbit/s, .*: round trip \d+\.\d\d ms", done.stdout)
        got = get("--json", "-o", str(output))
        assert got.returncode == 0, got.stderr
        report = json.loads(got.stderr.splitlines()[-1])["report"]
        assert report["setup"] >= ROUND_TRIP
        assert report["paths"][1]["rtt"] >= ROUND_TRIP
        assert measure(place.namespace_file("phone"), "cell0", "10.1.0.1").low < ROUND_TRIP, "the other path"
    finally:
        assert link(place, "phone-ispb", "--clear").returncode == 0


@pytest.mark.parametrize(("slow", "faster"), [("phone-ispa", 1), ("phone-ispb", 0)])
def test_bulk_over_mptcp_takes_the_faster_path_alone(
    place: LabFolder, get: GetSample, output: Path, slow: str, faster: int
) -> None:
    done = link(place, slow, "--delay", "50ms")
    try:
        assert done.returncode == 0, done.stderr
        got = get("--transport", "mptcp", "--json", "-o", str(output))
        assert got.returncode == 0, got.stderr
        paths = json.loads(got.stderr.splitlines()[-1])["report"]["paths"]
        assert paths[faster]["bytes_received"] > SAMPLE_BYTES
        assert paths[1 - faster]["bytes_received"] < SAMPLE_BYTES // 50
    finally:
        assert link(place, slow, "--clear").returncode == 0


def test_what_cannot_be_is_refused_with_the_reason(place: LabFolder) -> None:
    for arguments, reason in (
        (("phone-moon", "--delay", "1s"), "phone-ispa, phone-ispb"),
        (("phone-ispa", "--delay", "5"), "such as 2.5ms"),
        (("phone-ispa",), "--clear"),
    ):
        done = link(place, *arguments)
        assert done.returncode != 0
        assert reason in done.stderr


def test_links_are_listed(place: LabFolder) -> None:
    assert "transit-edge3" in link(place).stdout.splitlines()
