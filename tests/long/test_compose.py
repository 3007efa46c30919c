"""Every scenario in the compose lab, `first-download` to `owner-overload`."""

import json

import pytest
from compose_lab import Shell, compose

__all__ = ["compose"]
pytestmark = pytest.mark.needs("docker")


@pytest.mark.timeout(900)
def test_every_scenario_passes_in_compose(compose: Shell) -> None:
    done = compose("sennit lab run all --compose --json", check=False, timeout=800)
    verdicts = json.loads(done.stdout)
    assert {verdict["scenario"] for verdict in verdicts} >= {"first-download", "route-flap", "owner-overload"}
    assert not [json.dumps(verdict, indent=1) for verdict in verdicts if not verdict["ok"]]
    assert done.returncode == 0
