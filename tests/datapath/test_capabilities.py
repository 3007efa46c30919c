"""The programs load with CAP_NET_ADMIN and CAP_BPF alone: without CAP_PERFMON the verifier forbids much."""

import subprocess
import sys
from pathlib import Path

import pytest
from compiled_object import compiled_object

pytestmark = pytest.mark.needs("root", "bcc")

LOAD = """
import sys
from pathlib import Path
from balancer.datapath.load.form import load_programs
path = Path(sys.argv[1]) if len(sys.argv) > 1 else None
print(len(load_programs(path, raw=True, fast=True).programs))
"""


@pytest.mark.parametrize("form", ["source", pytest.param("object", marks=pytest.mark.needs("clang"))])
def test_two_capabilities_are_enough(form: str) -> None:
    few = "-all,+net_admin,+bpf,+dac_override"  # dac_override: read the checkout of another user
    command = ["setpriv", f"--bounding-set={few}", f"--inh-caps={few}", sys.executable, "-c", LOAD]
    command += [str(compiled_object())] if form == "object" else []
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "8"
