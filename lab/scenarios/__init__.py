"""Scenarios: something happens in the lab, and numbers say whether all went well. Each is a module with `run`."""

import importlib

from lab.errors import LabFailed
from lab.running import Lab
from lab.scenarios.verdict import Verdict

SCENARIOS = (
    "first-download",
    "edge-failure",
    "drain",
    "failures",
    "route-flap",
    "interface-loss",
    "ipv6-only",
    "blackhole",
    "control-plane-away",
    "rolling-restart",
    "owner-overload",
    "attack",
    "slow-origin",
)

NAMESPACES_ONLY = ("failures", "slow-origin", "attack")  # what compose's hosts are not made for


def scenarios_of(lab: Lab) -> list[str]:
    """All that a lab can run."""
    return [name for name in SCENARIOS if lab.name == "namespaces" or name not in NAMESPACES_ONLY]


def run_scenario(lab: Lab, name: str) -> Verdict:
    """Run one of SCENARIOS; what breaks it off is its last finding."""
    verdict = Verdict(name, lab.name)
    module = importlib.import_module(f"lab.scenarios.{name.replace('-', '_')}")
    try:
        for edge in lab.topology.edges():  # a lab that has just come up may still exchange routes
            lab.wait_until_announced(edge)
        module.run(lab, verdict)
    except LabFailed as error:
        verdict.equal("broke off", str(error), "to its end")
    return verdict
