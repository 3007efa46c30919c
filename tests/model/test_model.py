"""The model of docs/protocol/model, checked by Spin: each pair of attackers comes out as its page says."""

import re
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[2] / "docs" / "protocol" / "model" / "smkex.pml"
PASSIVE, ACTIVE = 1, 2
ATTACKERS = {  # who is on path 0, on path 1, whether they talk
    "none": (0, 0, False),
    "P on all": (PASSIVE, PASSIVE, True),
    "A on path 0": (ACTIVE, 0, False),
    "A on path 1": (0, ACTIVE, False),
    "A-P": (ACTIVE, PASSIVE, True),
    "P-A": (PASSIVE, ACTIVE, True),
    "A/A": (ACTIVE, ACTIVE, False),
    "A-A": (ACTIVE, ACTIVE, True),
}

pytestmark = pytest.mark.needs("spin")


def violated(
    folder: Path, attackers: str, *, known: bool = False, edge_claim: bool = False, reach: bool = False
) -> str | None:
    """Search all states; return the assertion that does not hold, None when all do."""
    on_0, on_1, talk = ATTACKERS[attackers]
    settings = {
        "ON0": on_0,
        "ON1": on_1,
        "TALK": talk,
        "KNOWN": known,
        "EDGE_CLAIM": edge_claim,
        "REACH": reach,
    }
    options = [f"-D{name}={int(value)}" for name, value in settings.items()]
    for command in (["spin", *options, "-a", str(MODEL)], ["gcc", "-w", "-DSAFETY", "-o", "pan", "pan.c"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    said = subprocess.run(["./pan", "-E"], cwd=folder, check=True, capture_output=True, text=True).stdout
    assert "max search depth too small" not in said
    errors = re.search(r"errors: (\d+)", said)
    assert errors is not None
    found = re.search(r"assertion violated (.+) \(at depth", said)
    assert bool(int(errors[1])) == bool(found)
    if found is None:
        assert "Search not completed" not in said
        return None
    return found[1]


@pytest.mark.parametrize("attackers", [name for name in ATTACKERS if name != "A-A"])
def test_what_client_and_edge_claim_holds(attackers: str, tmp_path: Path) -> None:
    assert violated(tmp_path, attackers, edge_claim=True) is None
    assert violated(tmp_path, attackers, reach=True) is not None, "no client ever accepts: nothing is shown"


def test_two_active_attackers_that_talk_have_the_key(tmp_path: Path) -> None:
    secrecy = violated(tmp_path, "A-A")
    assert secrecy is not None
    assert "gy==2" in secrecy, "the client has taken their share"


@pytest.mark.parametrize("attackers", ["A-P", "P-A", "A/A", "A-A"])
def test_a_known_fleet_key_stops_them_all(attackers: str, tmp_path: Path) -> None:
    assert violated(tmp_path, attackers, known=True) is None
    assert violated(tmp_path, attackers, known=True, reach=True) is not None


def test_an_attacker_on_both_paths_can_be_a_client_by_both(tmp_path: Path) -> None:
    claim = violated(tmp_path, "A-A", known=True, edge_claim=True)
    assert claim is not None
    assert "accepted" in claim
