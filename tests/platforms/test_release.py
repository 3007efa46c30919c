"""`make release` in bare roots of the distributions, as packaging/README.md has it, and what is built, in use there."""

from pathlib import Path

import pytest
from bare_root import BareRoot
from platform_results import HostResult
from release_root import CHECKOUT

pytestmark = [pytest.mark.needs("root", "netns", "mmdebstrap"), pytest.mark.timeout(5400)]
VERIFY = "ssh-keygen -Y verify -f signers -I sennit -n sennit-release -s SHA256SUMS.sig <SHA256SUMS"
TESTED = "EXPECT_ALL_CAPABILITIES=1 .venv/bin/pytest -q"
# what was run, the command, seconds, the folder
STEPS = (
    ("a checkout with all that builds it", f"{CHECKOUT} && make install", 3600, "/root"),
    ("a release, signed", "ssh-keygen -q -t ed25519 -N '' -C releases -f /root/release && "
     "SENNIT_RELEASE_KEY=/root/release make release", 1800, "/root/sennit"),
    ("its signature and checksums", "cd dist/sennit-*/ && echo \"sennit $(cat /root/release.pub)\" >/root/signers && "
     f"{VERIFY.replace('signers', '/root/signers')} && sha256sum --check SHA256SUMS", 60, "/root/sennit"),
    ("Debian packages installed, upgraded, purged", "sh tools/install-packages packages.platforms.debian && "
     f"SENNIT_TEST_ARCHIVE=$(echo $PWD/dist/*/*-debian*.tar.gz) {TESTED} tests/platforms/test_debian_packages.py",
     3600, "/root/sennit"),
    ("what pip install takes", f"{TESTED} tests/packaging", 900, "/root/sennit"),
)  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step[0])
def test_a_release(
    host: tuple[HostResult, BareRoot], step: tuple[str, str, float, str], tmp_path: Path
) -> None:
    result, root = host
    what, command, seconds, folder = step
    outcome = root.run(command, seconds, folder, tmp_path / "log")
    result.add(what, command, outcome)
    assert outcome.status == 0, outcome.said[-20_000:]
