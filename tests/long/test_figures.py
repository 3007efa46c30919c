"""`sennit lab figures`, with few samples: what does not depend on the machine's speed is judged here."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from lab.figures.table import read_table
from lab.namespace.daemons import sennit_program
from lab.namespace.place import LabFolder

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")


@pytest.mark.timeout(120)
def test_figures_are_measured_drawn_and_judged(place: LabFolder, tmp_path: Path) -> None:
    """A flipped byte costs a session over tcp one of its paths, and TLS over MPTCP its connection."""
    environment = {**os.environ, "SENNIT_LAB_NAME": place.name, "SENNIT_LAB_STATE": str(place.folder)}
    done = subprocess.run(
        [sennit_program(), "lab", "figures", "--quick", "--only", "13,8,9", "-o", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=110,
    )
    for name in ("smkex-figure-13", "mptcpsec-figure-8", "mptcpsec-figure-9"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG"), done.stderr
        assert read_table(tmp_path / f"{name}.csv")
    assert json.loads((tmp_path / "machine.json").read_text())["kernel"]
    # the stall and rates depend on how busy the machine is, this does not
    ends = {
        row["contender"]: row["event"]
        for row in read_table(tmp_path / "mptcpsec-figure-9.csv")
        if row["event"]
    }
    assert ends.pop("SMKEX over tcp") == "complete and right"
    assert set(ends) == {"SMKEX over mptcp", "TLS 1.3 over MPTCP"}
    assert "complete and right" not in ends.values()
    assert "SMKEX over tcp, 1 MB: stall" in done.stdout
    assert "## Figure 9" in (tmp_path / "numbers.md").read_text()
    shown = subprocess.run([*place.enter("phone"), "ip", "-br", "link"], capture_output=True, text=True)
    assert "slow-" not in shown.stdout


def test_an_unknown_figure_is_refused(place: LabFolder) -> None:
    done = subprocess.run([sennit_program(), "lab", "figures", "--only", "7"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "13, 14, 8, 9" in done.stderr
