"""Scenarios in which edges, routes, interfaces, paths and daemons fail, and an owner is flooded; some shortened."""

import importlib
import json

import pytest

from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.scenarios import run_scenario
from lab.topology import LAB

pytestmark = [pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird"), pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("scenario", "shorter"),
    [
        ("edge-failure", {}),
        ("drain", {}),
        ("failures", {}),
        ("route-flap", {"LONG": 5.0, "MOVED_LIMIT": 20.0}),
        ("interface-loss", {"LONG": 3.0, "BACK_LIMIT": 20.0}),
        ("blackhole", {"LONG": 3.0, "STALL_LIMIT": 5.0}),
        ("control-plane-away", {"AWAY": 4.0, "AFTER": 1.0}),
        ("rolling-restart", {"RESTARTED": 1}),
        ("owner-overload", {"LONG": 6.0, "THROUGH_LIMIT": 40.0}),
    ],
)
def test_a_scenario_passes(
    scenario: str, shorter: dict[str, float], place: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(f"lab.scenarios.{scenario.replace('-', '_')}")
    for name, value in shorter.items():
        assert hasattr(module, name)
        monkeypatch.setattr(module, name, value)
    verdict = run_scenario(NamespaceLab(place, LAB), scenario)
    assert verdict.ok, json.dumps(verdict.as_dict(), indent=1)
    assert len(verdict.findings) >= 5
