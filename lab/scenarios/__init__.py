"""Scenarios: something happens in the lab, and numbers say whether all went well. Each is a module with `run`."""

import importlib

from lab.errors import LabFailed
from lab.running import Lab
from lab.scenarios.verdict import Verdict

SCENARIOS = ("first-download", "edge-failure", "drain", "failures")
NAMESPACES_ONLY = ("failures",)


def run_scenario(lab: Lab, name: str) -> Verdict:
    """Run one of SCENARIOS; what breaks it off is its last finding."""
    verdict = Verdict(name, lab.name)
    module = importlib.import_module(f"lab.scenarios.{name.replace('-', '_')}")
    try:
        module.run(lab, verdict)
    except LabFailed as error:
        verdict.equal("broke off", str(error), "to its end")
    return verdict
