"""Scenarios in the compose lab, by the same code as in namespaces: edges die and drain, downloads go on."""

import json

import pytest
from compose_lab import Shell

pytestmark = pytest.mark.needs("docker", "mptcp")


@pytest.mark.timeout(240)
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

    def counters(edge: str) -> dict[str, dict[str, int]]:
        status = compose_mptcp(f"docker compose exec -T {edge}-forwarder sennit forwarder status --json")
        return json.loads(status.stdout)  # type: ignore[no-any-return]

    before = {edge: counters(edge) for edge in ("edge1", "edge2")}
    compose_mptcp("docker compose exec -T phone sennit get smkex://cdn.lab/sample.bin -o /dev/null")
    after = {edge: counters(edge) for edge in ("edge1", "edge2")}

    def grown(edge: str, reason: str) -> int:
        return after[edge][reason]["packets"] - before[edge][reason]["packets"]

    assert grown("edge2", "forwarded") > 0
    assert grown("edge1", "delivered") == grown("edge2", "forwarded")
    assert grown("edge1", "reply_forwarded") == grown("edge2", "reply_returned") > 0
    assert not [
        reason
        for edge in after
        for reason in after[edge]
        if reason.startswith("drop_") and grown(edge, reason)
    ]
