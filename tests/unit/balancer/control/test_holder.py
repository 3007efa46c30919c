"""An edge's identity has one holder at a time, and a lost disk is replaced without losing the id."""

from pathlib import Path
from typing import Any

from balancer.agent.sync.instance import new_instance

HERE, THERE = "0" * 16, "1" * 16
FIRST, AGAIN = f"{HERE}-{'a' * 16}", f"{HERE}-{'b' * 16}"
CLONE = f"{THERE}-{'c' * 16}"


async def running(api: Any) -> None:
    await api.enrol(1, instance=FIRST)
    assert (await api.heartbeat(1, instance=FIRST)).status_code == 200


async def test_a_copy_on_another_host_is_refused_and_named(api: Any) -> None:
    await running(api)
    for answer in (
        await api.enrol(1, "credential-1", tunnel_v4="10.255.9.9", instance=CLONE),
        await api.heartbeat(1, instance=CLONE),
    ):
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:sennit:problem:edge-held")
        assert FIRST in answer.json()["detail"]
        assert CLONE in answer.json()["detail"]
    assert (await api.edge(1))["tunnel_v4"] == "10.255.0.1"
    assert (await api.heartbeat(1, instance=FIRST)).status_code == 200


async def test_an_agent_that_starts_again_on_its_host_is_the_holder_at_once(api: Any) -> None:
    await running(api)
    assert (await api.enrol(1, "credential-1", instance=AGAIN)).status_code == 200
    assert (await api.heartbeat(1, instance=FIRST)).status_code == 409, "two on one host do not take turns"
    assert (await api.heartbeat(1, instance=AGAIN)).status_code == 200
    assert (await api.heartbeat(1, instance=FIRST)).status_code == 409


async def test_another_host_may_follow_once_the_lease_has_ended_and_the_move_is_audited(api: Any) -> None:
    await running(api)
    await api.pass_time(10)
    answer = await api.enrol(1, "credential-1", tunnel_v4="10.255.9.9", instance=CLONE)
    assert answer.status_code == 200
    assert (await api.heartbeat(1, instance=CLONE)).status_code == 200
    assert (await api.heartbeat(1, instance=FIRST)).status_code == 409
    audited = (await api.ask("GET", "/v1/audit")).json()["items"]
    changes = [each["detail"] for each in audited if each["what"] == "edge.pending"]
    assert changes == ["tunnel_v4 10.255.0.1 -> 10.255.9.9"]


async def test_an_edge_whose_disk_is_lost_keeps_its_id(api: Any) -> None:
    await running(api)
    token = await api.token(edge_name="edge1", replaces=True)
    new = {"credential_sha256": "ab" * 32, "instance": CLONE}
    assert (await api.enrol(1, token, **new)).status_code == 409, "not while the old one runs"
    await api.pass_time(10)
    answer = await api.enrol(1, token, **new)
    assert answer.json()["edge"]["id"] == 1
    assert (await api.enrol(1, token, **new)).status_code == 200, "a lost answer costs nothing"
    assert (await api.heartbeat(1, instance=FIRST)).status_code == 401, "the old credential has ended"
    audited = (await api.ask("GET", "/v1/audit")).json()["items"]
    assert "edge.re-enrol" in [each["what"] for each in audited]
    assert (await api.enrol(2, await api.token(edge_name="edge2", replaces=True))).status_code == 404


def test_an_instance_is_bound_to_the_boot_and_new_at_each_start(tmp_path: Path) -> None:
    boot, machine = tmp_path / "boot", tmp_path / "machine"
    boot.write_text("1\n")
    first, second = new_instance(boot, machine), new_instance(boot, machine)
    assert first != second
    assert first[:17] == second[:17]
    boot.write_text("2\n")
    assert new_instance(boot, machine)[:17] != first[:17]
