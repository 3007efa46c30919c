"""Every attack of the lab, one after the other."""

import sys
import tempfile
from pathlib import Path

from lab.attack.cells import Powers, Row, attacks_on
from lab.attack.node_attacks import attack_nodes
from lab.attack.run import AttackRunner, Result
from lab.attack.stolen_state import ATTACKS, run_state_attack
from lab.namespace.running import NamespaceLab


def run_attacks(lab: NamespaceLab) -> list[Result]:
    """Every attack, one after the other. Raises `LabFailed` where one cannot be carried out."""
    runner = AttackRunner(lab)
    results = []
    for row in Row:
        for attack in attacks_on(row):
            print(f"lab: {row}: {attack.powers}: {attack.name} ...", file=sys.stderr, flush=True)
            results.append(runner.attack(row, attack))
    results += [runner.tls(powers) for powers in (Powers.PASSIVE, Powers.ONE)]
    print("lab: stolen session states ...", file=sys.stderr, flush=True)
    results += [run_state_attack(attack) for attack in ATTACKS]
    print("lab: the edges' nodes ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="sennit-attack") as folder:
        results += attack_nodes(runner, Path(folder))
    return results
