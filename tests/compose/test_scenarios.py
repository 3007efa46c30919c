"""Scenarios in the compose lab, by the same code as in namespaces: edges die and drain, downloads go on."""

import json

import pytest
from compose_lab import Shell

from lab.wait import wait_for

pytestmark = [pytest.mark.needs("docker", "mptcp"), pytest.mark.timeout(600)]  # the image is built first


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", ["first-download", "ipv6-only", "edge-failure", "drain"])
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
    """Kernel counters: edge 1 sent what path 1 brought through edge 2, and nothing was dropped. Probes add a little."""

    def count(edge: str) -> dict[str, dict[str, int]]:
        status = compose_mptcp(f"docker compose exec -T {edge}-forwarder sennit forwarder status --json")
        return dict(json.loads(status.stdout))

    before = {edge: count(edge) for edge in ("edge1", "edge2")}
    command = "sennit get smkex://cdn.lab/sample.bin --scheduler redundant --json -o /dev/null"
    by_path_1 = 0
    # a download ends when either path has brought it, so path 1 may lag
    while by_path_1 <= 1 << 20:  # what probes bring is far less
        done = compose_mptcp(f"docker compose exec -T phone {command}")
        report = json.loads(done.stderr.splitlines()[-1])["report"]
        assert [path["ingress_id"] for path in report["paths"]] == [1, 2]
        by_path_1 += report["paths"][1]["bytes_received"]

    def has_grown() -> bool:
        after = {edge: count(edge) for edge in before}

        def grown(edge: str, reason: str, unit: str) -> int:
            return after[edge][reason][unit] - before[edge][reason][unit]

        assert not [
            reason
            for edge in after
            for reason in after[edge]
            if reason.startswith("drop_") and grown(edge, reason, "packets")
        ]
        return (
            grown("edge1", "reply_forwarded", "bytes") >= by_path_1
            and grown("edge2", "reply_returned", "bytes") >= by_path_1
            and grown("edge2", "forwarded", "packets") > 0
            and grown("edge1", "delivered", "packets") > 0
        )

    wait_for("the counters of what path 1 brought", has_grown, 60)


def test_every_edge_is_probed_and_probes_the_others(compose_mptcp: Shell) -> None:
    """Its own service, and the two other edges through the tunnels: key exchanges from its probe's container."""

    def results(edge: str) -> dict[int | None, bool]:
        read = compose_mptcp(
            f"docker compose exec -T {edge}-probe cat /var/lib/sennit/probe/probes.json", check=False
        )
        return {
            each["edge_id"]: each["ok"] for each in json.loads(read.stdout or '{"results": []}')["results"]
        }

    for number in (1, 2, 3):
        others = {other: True for other in (1, 2, 3) if other != number}
        wait_for(
            f"the probes of edge {number}",
            lambda number=number, others=others: results(f"edge{number}") == {None: True, **others},  # type: ignore[misc]
            60,
        )
