"""A carrier's configuration with another preference: what BIRD makes of it, the scenario route-flap shows."""

from pathlib import Path

import pytest

from lab.bird import bird_configuration
from lab.errors import LabFailed
from lab.preference import prefer_neighbour
from lab.topology import LAB


def test_only_the_preferred_neighbours_import_changes() -> None:
    usual = bird_configuration(LAB, LAB.node("ispa"), Path("/state"))
    changed = prefer_neighbour(usual, "transit")
    differing = [
        (old, new) for old, new in zip(usual.splitlines(), changed.splitlines(), strict=True) if old != new
    ]
    assert [old.split()[0] for old, _ in differing] == ["ipv4", "ipv6"]
    assert all("import filter { bgp_local_pref = 200; accept; };" in new for _, new in differing)
    at = changed.index("bgp_local_pref = 200")
    assert changed.rindex("protocol bgp", 0, at) == changed.index("protocol bgp transit")
    at = changed.index("bgp_local_pref = 200", at + 1)
    assert changed.rindex("protocol bgp", 0, at) == changed.index("protocol bgp transit_v6")


def test_a_stranger_is_refused() -> None:
    with pytest.raises(LabFailed, match="no BGP session with edge2"):
        prefer_neighbour(bird_configuration(LAB, LAB.node("ispa"), Path("/state")), "edge2")
