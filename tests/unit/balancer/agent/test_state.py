"""The node's state folder and the control plane's URL."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from balancer.agent.state import NodeState
from balancer.agent.sync.backoff import Backoff
from balancer.api.client import ControlClient
from node.state.catalogue import APPLIED, DESIRED_STATE
from node.state.credential import Credential
from node.state.desired_state import AdminState, DrainPhase


def test_a_file_is_replaced_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    state = NodeState(tmp_path)
    for number in range(3):
        state.keep_credential(Credential("secret", number))
    assert [path.name for path in tmp_path.rglob("*")] == ["agent", "credential.json"]
    assert json.loads((tmp_path / "agent" / "credential.json").read_text()) == {
        "edge_id": 2,
        "token": "secret",
    }


def test_a_credential_does_not_print_its_secret() -> None:
    assert "secret" not in repr(Credential("secret", 1))


@pytest.mark.parametrize("content", ["", "[]", '{"generation": -1}', '{"generation": "1"}', "{}"])
def test_a_damaged_applied_generation_is_none(tmp_path: Path, content: str) -> None:
    APPLIED.write_text(tmp_path, content)
    assert NodeState(tmp_path).applied_generation() is None


def test_delays_double_up_to_a_bound_and_start_over_after_an_answer() -> None:
    backoff = Backoff(first=1, longest=4)
    for whole in (1, 2, 4, 4):
        assert whole / 2 <= backoff.delay() <= whole
    backoff.reset()
    assert backoff.delay() <= 1


@pytest.mark.parametrize("url", ["http://10.255.0.100:8443", "ftp://127.0.0.1", "10.255.0.100:8443"])
def test_a_token_is_never_sent_in_clear_over_a_network(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        ControlClient(url, "token")


def test_a_drain_is_remembered_with_the_time_it_began(tmp_path: Path) -> None:
    state = NodeState(tmp_path)
    assert state.desired_state().admin_state is AdminState.ACTIVE
    state.keep_desired_state(AdminState.DRAINING)
    began = state.desired_state()
    state.keep_drain(DrainPhase.WITHDRAWN, 4.5)
    state.keep_desired_state(AdminState.DRAINING)
    assert NodeState(tmp_path).desired_state() == replace(
        began, drain=DrainPhase.WITHDRAWN, rehomed_after=4.5
    )
    assert json.loads((tmp_path / "agent" / "agent.json").read_text())["drain"] == "withdrawn"


def test_a_drain_knows_nothing_of_the_one_before(tmp_path: Path) -> None:
    state = NodeState(tmp_path)
    state.keep_desired_state(AdminState.DRAINING)
    state.keep_drain(DrainPhase.WITHDRAWN, 4.5)
    state.keep_desired_state(AdminState.ACTIVE)
    state.keep_desired_state(AdminState.DRAINING)
    assert state.desired_state().rehomed_after is None
    assert json.loads((tmp_path / "agent" / "agent.json").read_text())["drain"] is None


DRAINING = '{"admin_state": "draining", "since": 1.0, "rehomed_after": "x"}'


@pytest.mark.parametrize("content", ["", "[]", '{"admin_state": "gone"}', '{"since": "x"}', DRAINING])
def test_a_damaged_desired_state_is_active(tmp_path: Path, content: str) -> None:
    DESIRED_STATE.write_text(tmp_path, content)
    assert NodeState(tmp_path).desired_state().admin_state is AdminState.ACTIVE
