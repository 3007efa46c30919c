"""arm64 by emulation: a part of the core's unit tests by its Python, the eBPF programs with its headers.

The part is keys and messages, 94 tests: what computes on bytes. On a busy machine 45 of the core's 290 tests took 17
minutes, and three that run sessions over loopback exceeded their limit of 10 s.
The kernel is this machine's, and bpf(2) is not emulated: the programs, compiled with arm64's headers, are loaded and
run here. A machine with an arm64 kernel has not been seen.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from arm64_root import ROOT, arm64_root
from bare_root import BareRoot, Outcome
from platform_results import HostResult, saved_results

pytestmark = [pytest.mark.needs("root", "bcc", "mmdebstrap", "arm64"), pytest.mark.timeout(5400)]
HOST = "Debian 13, arm64"
CORE = "python3 -m pytest -q tests/unit/smkex/core/keys tests/unit/smkex/core/wire"
DATAPATH = (
    "tests/datapath/test_cases.py",
    "tests/datapath/test_agreement.py",
    "tests/datapath/test_budgets.py",
)
WITH_HEADERS = """
import functools, sys
from pathlib import Path
import pytest
from runtime.bpf import headers
headers.make_tree = functools.partial(headers.make_tree, uapi=Path(sys.argv[1]), machine="aarch64")
sys.exit(pytest.main(["-q", *sys.argv[2:]]))
"""


@pytest.fixture(scope="module")
def host() -> Iterator[tuple[HostResult, BareRoot]]:
    with arm64_root("trixie") as root:
        known = [result for result in saved_results() if result.host == HOST]
        result = known[0] if known else HostResult(HOST)
        result.versions = {"Python": root.run("python3 --version", 60).said.split()[-1]}
        yield result, root


def test_unit_tests_of_the_core_s_keys_and_messages(host: tuple[HostResult, BareRoot]) -> None:
    result, root = host
    settings = "PYTHONPATH=/root/site:/root/sennit PYTHONUNBUFFERED=1"
    outcome = root.run(f"{settings} {CORE} -p no:cacheprovider --timeout=1200", 5000, "/root/sennit")
    result.add("unit tests of the core's keys and messages, emulated", CORE, outcome)
    assert outcome.status == 0, outcome.said[-20_000:]


def test_ebpf_programs_compiled_with_arm64_s_headers(host: tuple[HostResult, BareRoot]) -> None:
    result, root = host
    command = [sys.executable, "-c", WITH_HEADERS, str(root.folder / "usr" / "include"), *DATAPATH]
    started = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "ARCH": "arm64", "PYTHONPATH": str(ROOT)},
    )
    outcome = Outcome(done.returncode, time.monotonic() - started, done.stdout)
    result.add("eBPF with its headers, on this kernel", f"ARCH=arm64 pytest -q {' '.join(DATAPATH)}", outcome)
    assert outcome.status == 0, outcome.said[-20_000:]
