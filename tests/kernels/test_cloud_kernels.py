"""The programs on the kernels of Debian 12 (6.1) and 13 (6.12): verified, and the packets of each case as they must be.

Booted under qemu with the datapath's own tests as user space. The object alone: bcc takes minutes there.
"""

import re
from pathlib import Path

import pytest
from distribution_kernel import DistributionKernel, make_user_space

pytestmark = [pytest.mark.needs("root", "bcc", "clang", "qemu"), pytest.mark.timeout(3600)]

TESTS = "test_stack.py test_kernels.py test_cases.py test_slots.py test_capabilities.py"
PYTEST = "python3 -m pytest -q -p no:cacheprovider -o timeout=600 -k"

# what Linux 6.1 has not: inner and outer headers of two versions (6.3), and verification without CAP_PERFMON; see
# docs/forwarder/operation.md
SELECTED = {
    "bookworm": "object and not two_capabilities and not (taken_off and (4-6 or 6-4))",
    "trixie": "object",
}


@pytest.fixture(scope="module")
def user_space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels") / "root"
    make_user_space(folder)
    return folder


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_object_runs_on_the_kernel_of(suite: str, user_space: Path, tmp_path: Path) -> None:
    kernel = DistributionKernel(suite, tmp_path / "kernel")
    files = " ".join(f"tests/datapath/{name}" for name in TESTS.split())
    command = f"{PYTEST} '{SELECTED[suite]}' {files}"
    status, console = kernel.run(user_space, command, timeout=1800)
    assert status == 0, console[-4000:]
    assert re.search(r"\d{3,} passed", console), console[-1000:]
