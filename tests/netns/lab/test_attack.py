"""Attackers on the paths of the lab: the table of docs/protocol/security.md, as measured."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_lab import own_lab

from lab.namespace.daemons import sennit_program
from lab.namespace.place import LabFolder
from lab.topology import VIP

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

ALWAYS = {
    "P on all": {"safe"},
    "A on one": {"detected", "safe"},  # safe: a raced nonce blocks no client
    "A-P": {"detected"},
    "P-A": {"detected"},
    "A/A": {"detected"},
}
TABLE = {
    "opportunistic": ALWAYS | {"A-A": {"not detected"}},
    "tofu, first contact": ALWAYS | {"A-A": {"not detected"}},
    "tofu, key known": ALWAYS | {"A-A": {"detected"}},
    "mtls, authentic certificate": ALWAYS | {"A-A": {"detected"}},
    "mtls, forged certificate": ALWAYS | {"A-A": {"not detected"}},
    "tls 1.3": {"P on all": {"safe"}, "A on one": {"not detected"}},
    "stolen session state": {
        "P on all": {"safe"},
        "A on one": {"detected", "safe", "not detected"},  # the last where it breaks the other path
        "P-A": {"detected"},
        "A-A": {"not detected"},
    },
    "the edges' nodes": {"A on one": {"safe"}},
}

DIAL = """
import socket, sys
with socket.socket() as sock:
    sock.settimeout(20)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"cell0")
    sock.bind(("", int(sys.argv[2])))
    sock.connect((sys.argv[1], 443))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFolder]:
    """A lab of its own: what attackers leave half done at the edges is not for the tests of other things."""
    with own_lab("at", tmp_path_factory.mktemp("attacked")) as made:
        yield made


@pytest.mark.timeout(1200)
def test_every_attack_ends_as_the_table_says(place: LabFolder) -> None:
    environment = {**os.environ, "SENNIT_LAB_NAME": place.name, "SENNIT_LAB_STATE": str(place.folder)}
    done = subprocess.run(
        [sennit_program(), "lab", "attack", "--json"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=1100,
    )
    assert done.stdout, done.stderr
    results = json.loads(done.stdout)
    assert [result for result in results if not result["ok"]] == []
    assert done.returncode == 0
    cells: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for result in results:
        cells[result["mode"]][result["powers"]].add(result["outcome"])
    assert cells == TABLE
    assert all(result["client"] for result in results if result["outcome"] == "detected")


def test_what_an_attacker_ended_does_not_eat_the_phones_next_connection_from_the_same_port(
    place: LabFolder,
) -> None:
    """The carrier's kernel keeps the attacker's side of each connection for a minute."""
    listed = subprocess.run(
        [*place.enter("ispa"), "ss", "-Htan", "state", "time-wait", "src", VIP],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    ports = [line.split()[-1].rpartition(":")[2] for line in listed.stdout.splitlines()]
    assert ports
    done = subprocess.run(
        [*place.enter("phone"), sys.executable, "-c", DIAL, VIP, ports[-1]],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_attackers_leave_nothing_behind(place: LabFolder) -> None:
    for carrier in ("ispa", "ispb"):
        enter = place.enter(carrier)
        rules = subprocess.run([*enter, "nft", "list", "tables"], capture_output=True, text=True, check=True)
        assert "sennit_attack" not in rules.stdout
        policies = subprocess.run([*enter, "ip", "rule"], capture_output=True, text=True, check=True).stdout
        assert "0x5a" not in policies
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = command.read_text()
        except OSError:
            continue
        assert not ("lab.attack" in said and str(place.folder) in said)
