"""Scenarios in the compose lab, by the same code as in namespaces: edges die and drain, downloads go on."""

import json

import pytest
from compose_lab import Shell

from lab.wait import wait_for

WAYS = ("forwarded", "delivered", "reply_forwarded", "reply_returned")
pytestmark = [pytest.mark.needs("docker", "mptcp"), pytest.mark.timeout(600)]  # the image is built first


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", ["first-download", "edge-failure", "drain"])
def test_a_scenario_passes(scenario: str, compose_mptcp: Shell) -> None:
    done = compose_mptcp(f"sennit lab run --compose {scenario} --json", check=False)
    (verdict,) = json.loads(done.stdout)
    assert verdict["ok"], json.dumps(verdict, indent=1)
    assert done.returncode == 0
    assert verdict["lab"] == "compose"
    if scenario == "first-download":
        found = " ".join(finding["what"] for finding in verdict["findings"])
        assert "tcp: rate" in found
        assert "mptcp: rate" in found


def test_the_forwarder_carried_the_second_path(compose_mptcp: Shell) -> None:
    """Kernel counters: what edge 2 forwarded arrived at edge 1, and nothing was dropped."""

    def packets(edge: str) -> dict[str, int]:
        status = compose_mptcp(f"docker compose exec -T {edge}-forwarder sennit forwarder status --json")
        return {reason: counted["packets"] for reason, counted in json.loads(status.stdout).items()}

    def settled() -> dict[str, dict[str, int]]:
        """Both edges' counters, once no packet of an earlier connection is under way any more."""
        found = [{edge: packets(edge) for edge in ("edge1", "edge2")}]

        def is_still() -> bool:
            found.append({edge: packets(edge) for edge in ("edge1", "edge2")})
            return all(found[-1][edge][way] == found[-2][edge][way] for edge in found[-1] for way in WAYS)

        wait_for("counters that stand still", is_still, 120)
        return found[-1]

    before = settled()
    compose_mptcp("docker compose exec -T phone sennit get smkex://cdn.lab/sample.bin -o /dev/null")
    after = settled()

    def grown(edge: str, reason: str) -> int:
        return after[edge][reason] - before[edge][reason]

    assert grown("edge2", "forwarded") > 0
    assert grown("edge1", "delivered") == grown("edge2", "forwarded")
    assert grown("edge1", "reply_forwarded") == grown("edge2", "reply_returned") > 0
    assert not [
        reason
        for edge in after
        for reason in after[edge]
        if reason.startswith("drop_") and grown(edge, reason)
    ]
