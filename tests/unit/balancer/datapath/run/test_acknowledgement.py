"""The forwarder goes on when it cannot say what it has applied, and says it as soon as it can."""

from pathlib import Path

import pytest

from balancer.datapath.run.table_follower import TableFollower
from balancer.model.table import ForwardingTable
from node.state.catalogue import APPLIED
from node.state.forwarder import read_applied_generation


def test_a_blocked_acknowledgement_is_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    follower = TableFollower.__new__(TableFollower)  # without maps
    follower._state, follower.table = tmp_path, ForwardingTable(generation=7)
    follower._acknowledged = follower._acknowledge_failed = False
    APPLIED.path_in(tmp_path).mkdir(parents=True)
    for _ in range(3):
        follower._acknowledge()
    assert caplog.text.count("generation 7 not acknowledged") == 1
    APPLIED.path_in(tmp_path).rmdir()
    follower._acknowledge()
    assert read_applied_generation(tmp_path) == 7
    APPLIED.path_in(tmp_path).unlink()
    follower._acknowledge()
    assert read_applied_generation(tmp_path) is None, "once is enough"
