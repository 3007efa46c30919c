"""One attack of each kind against opportunistic mode, from the lab's paths; all of them: `sennit lab attack`."""

from lab.attack.cells import Powers, Row, attacks_on
from lab.attack.run import AttackRunner
from lab.errors import LabFailed
from lab.namespace.running import NamespaceLab
from lab.running import Lab
from lab.scenarios.verdict import Verdict


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` in the compose lab: its carriers hold no attackers."""
    if not isinstance(lab, NamespaceLab):
        raise LabFailed("attackers sit in the namespace lab alone: `sennit lab run attack` without --compose")
    arena = AttackRunner(lab)
    for powers in Powers:
        one = next((attack for attack in attacks_on(Row.OPPORTUNISTIC) if attack.powers is powers), None)
        if one is not None:
            result = arena.attack(Row.OPPORTUNISTIC, one)
            verdict.equal(f"{powers}: {one.name}", result.outcome, str(one.expected))
            if result.client:
                verdict.note("  the client said", result.client)
