"""A short soak: mixed load while an edge's server is killed and the edge is drained."""

import json
import os
import subprocess

import pytest

from lab.namespace.daemons import sennit_program
from lab.namespace.place import LabFolder

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")


def test_nothing_is_lost_under_load_with_failures(place: LabFolder) -> None:
    environment = {**os.environ, "SENNIT_LAB_NAME": place.name, "SENNIT_LAB_STATE": str(place.folder)}
    command = [sennit_program(), "lab", "soak", "--minutes", "0.4", "--failures", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=150)
    verdict = json.loads(done.stdout)
    bad = [one for one in verdict["findings"] if not one["ok"]]
    assert not bad, json.dumps(verdict, indent=1)
    found = {finding["what"]: finding["value"] for finding in verdict["findings"]}
    assert found["failures injected"] >= 1  # a busy machine takes long to mend one
    assert found["requests"] > 50
    assert any(name.startswith("sennit edge: descriptors") for name in found)
