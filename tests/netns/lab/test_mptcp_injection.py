"""Over mptcp an attacker on one path can put data into the connection: it is never delivered, and ends the session."""

import subprocess
import sys
from pathlib import Path

import pytest
from lab_download import GetSample

from lab.namespace.place import LabFolder
from runtime.errors import ExitStatus

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

INJECTOR = Path(__file__).parents[2] / "support" / "dss_injector.py"
TRIES = 6  # what is injected counts only while path 0 has the newest data: then the record shows it


@pytest.mark.timeout(300)
def test_overlapping_data_on_subflow_0_aborts_the_session(
    place: LabFolder, get: GetSample, output: Path
) -> None:
    """The kernel takes the forged segment for the next data, the genuine one for an overlap; the record shows it."""
    genuine = (place.node("origin") / "sample.bin").read_bytes()
    for _ in range(TRIES):
        injector = subprocess.Popen(
            [*place.enter("ispa"), sys.executable, str(INJECTOR), "phone", "203.0.113.1"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert injector.stdout is not None
            assert injector.stdout.readline() == "ready\n"
            # slow enough for silence between segments, in which the attacker's is the next
            done = get("--transport", "mptcp", "--limit-rate", "2000000", "-o", str(output))
        finally:
            injector.terminate()
            said, _ = injector.communicate(timeout=60)
        assert "injected" in said, "nothing was injected: this shows nothing"
        if done.returncode:
            break
        assert output.read_bytes() == genuine
        output.unlink()
    # refused where the record shows it, broken off where the kernel's connection stands still after the overlap
    refused = (ExitStatus.REFUSED, ExitStatus.UNREACHABLE, ExitStatus.BROKEN_OFF)
    assert done.returncode in refused, done.stderr
    kept = output.with_name(f"{output.name}.part")
    assert not output.exists()
    assert not kept.exists() or genuine.startswith(kept.read_bytes())
    assert "Traceback" not in done.stderr
    assert not output.exists()
    # the kernel may go on sending on what stands still, so its source rules stay: the next connection sweeps them
    swept = get("--transport", "mptcp", "-o", "/dev/null")
    assert swept.returncode == 0, swept.stderr
