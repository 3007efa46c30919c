"""The programs load with CAP_NET_ADMIN and CAP_BPF alone: without CAP_PERFMON the verifier forbids much."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("root", "bcc")

LOAD = """
from balancer.datapath.load.compile import compile_and_load
print(len(compile_and_load(raw=True, fast=True).programs))
"""


def test_two_capabilities_are_enough() -> None:
    few = "-all,+net_admin,+bpf,+dac_override"  # dac_override: read the checkout of another user
    command = ["setpriv", f"--bounding-set={few}", f"--inh-caps={few}", sys.executable, "-c", LOAD]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "8"
