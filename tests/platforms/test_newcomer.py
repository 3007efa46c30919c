"""`make test-platforms`: a newcomer's commands, as README has them, in bare roots of the distributions.

Half an hour a root on a quiet machine. A step that fails is noted as such, and the next is run all the same; what each
did is written to docs/platforms.md.
"""

import platform
from pathlib import Path

import pytest
from bare_root import BareRoot
from page_commands import page_commands
from platform_results import HostResult

pytestmark = [
    pytest.mark.needs("root", "netns", "mptcp", "mmdebstrap"),
    pytest.mark.timeout(5400),
]
README = [line for line in page_commands("README.md", "## On your own machines") if "docker" not in line]
FROM_README = README[next(at for at, line in enumerate(README) if line.startswith("apt-get")) :]
TESTED = "EXPECT_ALL_CAPABILITIES=1 .venv/bin/pytest -q"
# what was run, the command, seconds, the folder
STEPS = (
    ("README: the lab comes up, a download by each transport", " && ".join(FROM_README), 1800, "/root"),
    ("a download that says what it does", ".venv/bin/sennit lab exec phone -- sennit get "
     "smkex://cdn.lab/sample.bin --verbose -o /dev/null", 120, "/root/sennit"),
    ("every trace removed", ".venv/bin/sennit lab down", 120, "/root/sennit"),
    ("README: the tests without root", "make check", 5000, "/root/sennit"),
    ("eBPF test runs", f"make install && {TESTED} tests/datapath", 1800, "/root/sennit"),
    ("forwarder in namespaces", f"{TESTED} tests/netns/forwarder", 1800, "/root/sennit"),
    ("client and server in namespaces", f"{TESTED} tests/netns/tcp tests/netns/mptcp", 1800, "/root/sennit"),
    ("downloads and attacks in the lab", f"{TESTED} tests/netns/lab/test_download.py "
     "tests/netns/lab/test_attack.py", 1800, "/root/sennit"),
)  # fmt: skip
VERSIONS = {
    "Python": "/usr/bin/python3 --version",
    "bcc": "/usr/bin/python3 -c 'import bcc; print(bcc.__version__)'",
    "LLVM": r"ldd /usr/lib/*-linux-gnu/libbcc.so.0 | sed -nE 's/.*libLLVM(-|\.so\.)([0-9]+).*/\2/p' | head -1",
    "BIRD": "bird --version 2>&1",
    "libc": "ldd --version | head -1",
}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step[0])
def test_a_newcomer_s_command(
    host: tuple[HostResult, BareRoot], step: tuple[str, str, float, str], tmp_path: Path
) -> None:
    result, root = host
    what, command, seconds, folder = step
    outcome = root.run(command, seconds, folder, tmp_path / "log")
    result.versions = _read_versions(root)
    result.add(what, command, outcome)
    assert outcome.status == 0, outcome.said[-20_000:]


def _read_versions(root: BareRoot) -> dict[str, str]:
    found = {name: root.run(command, 60).said.strip().split(" ")[-1] for name, command in VERSIONS.items()}
    return {**found, "kernel": platform.release().split("-")[0]}
