"""A drain under load: many downloads run, and all of them end well, their sessions with the drained edge."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.namespace import bringup, daemons
from lab.namespace.place import LabFolder
from lab.topology import LAB
from lab.wait import wait_for

pytestmark = pytest.mark.needs("root", "netns", "bcc", "bird")

COUNT = int(os.environ.get("SENNIT_DRAIN_DOWNLOADS", "100"))  # 200 want a machine that does nothing else
SIZE = 400_000
RATE = "14mbit"  # on each of the phone's links: some 12 s for all; with less, handshakes miss deadlines
SCRIPT = Path(__file__).parents[1] / "support" / "many_downloads.py"


@pytest.fixture
def slow_links(place: LabFolder) -> Iterator[None]:
    """What the carriers send to the phone is shaped by a token bucket, as on any link of a user."""
    shape = ["root", "tbf", "rate", RATE, "burst", "64kb", "latency", "300ms"]
    for carrier in ("ispa", "ispb"):
        daemons.run(place, carrier, "tc", "qdisc", "add", "dev", "phone", *shape)
    yield
    for carrier in ("ispa", "ispb"):
        daemons.run(place, carrier, "tc", "qdisc", "del", "dev", "phone", "root")


def operate(place: LabFolder, *words: str) -> str:
    access = bringup.command_access(place, LAB)
    return daemons.run(place, "control", daemons.sennit_program(), *words, *access)


def lease(place: LabFolder, edge: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(operate(place, "edges", "show", edge, "--json"))["lease"]
    return shown


def test_a_drain_under_many_downloads_breaks_none(place: LabFolder, slow_links: None) -> None:
    content = os.urandom(SIZE)
    (place.node("origin") / "small.bin").write_bytes(content)
    command = [sys.executable, str(SCRIPT), str(COUNT), "203.0.113.1", "/small.bin", "cell0", "wifi0"]
    edge = LAB.node("edge1")
    process = subprocess.Popen(
        [*place.enter("phone"), *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n", process.communicate(timeout=5)
        started = time.monotonic()
        operate(place, "edges", "drain", edge.name)
        output, errors = process.communicate(timeout=60)
        outcome = json.loads(output)
        assert outcome["errors"] == {}, errors
        assert outcome["digests"] == {hashlib.sha256(content).hexdigest(): COUNT}
        assert outcome["owners"] == {"1": COUNT}
        print(outcome["states"], f"{time.monotonic() - started:.1f} s")
        assert time.monotonic() - started > 3, "the downloads were over before routes began to move"
        wait_for("the end of the announcement", lambda: lease(place, edge.name)["drain"] == "withdrawn", 20)
        assert not lease(place, edge.name)["announcing"]
    finally:
        process.kill()
        process.communicate()
        operate(place, "edges", "undrain", edge.name)
        bringup.wait_until_announced(place, LAB, edge)
