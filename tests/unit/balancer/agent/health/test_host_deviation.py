"""A hard deviation of the host takes the edge down; a soft one, an old one or none does not."""

import time
from pathlib import Path

import pytest

from balancer.agent.health import host_checks
from balancer.agent.health.host_checks import ForwarderCheck
from balancer.datapath.load.install import ForwarderInstall
from balancer.model.reference.tunnel import Ends
from node.state.catalogue import HOST_STATE
from node.state.host_state import STALE_AFTER, HostState, ItemState, read_host_state, write_host_state
from node.vip import Vip

INSTALL = ForwarderInstall(1, ("eth0",), "bb0", Ends("10.255.0.1", None), Vip("main", "203.0.113.1", None))
RULE = "rule of marked IPv4 replies"


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ForwarderCheck:
    monkeypatch.setattr(host_checks, "_find_detached", lambda install: None)
    INSTALL.write_file(tmp_path)
    return ForwarderCheck(tmp_path)


@pytest.mark.parametrize(
    ("item", "age", "fault"),
    [
        (ItemState(RULE, True, "missing"), 0.0, f"forwarder: {RULE}: missing"),
        (ItemState(RULE, True, None), 0.0, None),
        (ItemState("interface bb0", False, "down"), 0.0, None),
        (ItemState(RULE, True, "missing"), STALE_AFTER + 1, None),
        (ItemState(RULE, True, "missing"), -5.0, None),
    ],
    ids=["hard", "as wanted", "soft", "stale", "of another boot"],
)
def test_only_a_fresh_hard_deviation_is_a_fault(
    check: ForwarderCheck, tmp_path: Path, item: ItemState, age: float, fault: str | None
) -> None:
    soft = ItemState("address 10.255.0.1 on bb0", False, "missing")
    write_host_state(tmp_path, HostState(time.monotonic() - age, (soft, item)))
    assert check.find_fault() == fault


@pytest.mark.parametrize(
    "text", ["", "[]", '{"at": 1}', '{"at": "x", "items": []}', '{"at": 1, "items": [3]}']
)
def test_an_invalid_file_is_no_check(check: ForwarderCheck, tmp_path: Path, text: str) -> None:
    HOST_STATE.write_text(tmp_path, text)
    assert read_host_state(tmp_path) is None
    assert check.find_fault() is None
