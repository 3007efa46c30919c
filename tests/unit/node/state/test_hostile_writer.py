"""A daemon that was taken over, in the state folder: it changes nothing of what the others believe or can write."""

import contextlib
import os
import pwd
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from provisioned_state import SYSTEMD, create_state_folder, find_user, own_file, run_as
from signed_table import write_signed_table

from balancer.agent.state import NodeState
from balancer.datapath.load.install import ForwarderInstall
from balancer.datapath.load.lock import lock_host
from balancer.model.reference.tunnel import Ends
from balancer.model.table import ForwardingTable, TableEdge
from balancer.model.table_file import load_table
from lab.attack.hostile_writer import attack_state_folder
from node.state import state_file
from node.state.catalogue import ALL, APPLIED, FAST_OPEN_KEYS, HOST_LOCK, SERVICES, SERVICES_APPLIED, SHIELD
from node.state.credential import Credential, write_credential
from node.state.desired_state import AdminState
from node.state.fast_open_keys import write_keys
from node.state.forwarder import (
    TunnelCounts,
    read_applied_generation,
    read_tunnel_counts,
    write_applied_generation,
    write_tunnel_counts,
)
from node.state.host_state import HostState, read_host_state, write_host_state
from node.state.identity import NodeIdentity, find_identity, write_identity
from node.state.probe_results import ProbeResult, read_results, write_results
from node.state.purges import Purge, read_purges, write_purges
from node.state.signs import LifeSign, contact_age, write_contact
from node.state.state_file import Daemon, StateFileInvalid
from node.vip import Vip

pytestmark = pytest.mark.needs("root")
VIP = Vip("main", "203.0.113.1", None)
TABLE = ForwardingTable(12, (VIP,), (TableEdge(1, "edge1", "10.255.0.1", None),))


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A node's folder with a file of every honest daemon."""
    folder = Path(tempfile.mkdtemp(prefix="sennit-state-"))  # pytest's own are root's alone
    state_file.trusted_owners.cache_clear()
    monkeypatch.setattr(pwd, "getpwnam", find_user)
    create_state_folder(folder)
    write_everything(folder)
    for file in ALL:
        if file.path_in(folder).exists():
            own_file(file, folder)
    yield folder
    state_file.trusted_owners.cache_clear()
    shutil.rmtree(folder)


def write_everything(state: Path) -> None:
    write_credential(state, Credential("secret", 1))
    write_identity(state, NodeIdentity(1, "edge1", VIP))
    write_signed_table(state, TABLE)
    NodeState(state).keep_desired_state(AdminState.DRAINING)
    write_purges(state, [Purge(7, None, "front", 1.0)])
    write_keys(state, ["22" * 16])
    write_contact(state)
    LifeSign(state).give_sign()
    write_results(state, 100.0, [ProbeResult("probe-service", False, "no answer")])
    ForwarderInstall(1, ("eth0",), "wg0", Ends("10.255.0.1", None), VIP).write_file(state)
    write_applied_generation(state, 12)
    write_tunnel_counts(state, TunnelCounts(100.0, {2: (1, 2)}))
    write_host_state(state, HostState(100.0, ()))
    with lock_host(state):
        pass


def beliefs(state: Path) -> tuple[object, ...]:
    """What agent, forwarder, edge and `load` read of each other."""
    node = NodeState(state)
    return (
        node.credential(),
        find_identity(state),
        load_table(state),
        node.desired_state(),
        read_purges(state),
        contact_age(state) is not None,
        LifeSign(state).last_sign(),
        read_results(state, 101.0),
        ForwarderInstall.read(state),
        read_applied_generation(state),
        read_tunnel_counts(state),
        read_host_state(state),
    )


@pytest.mark.parametrize("daemon", [Daemon.EDGE, Daemon.PROBE])
def test_no_trick_in_the_folder_succeeds_and_all_believe_what_they_did(state: Path, daemon: Daemon) -> None:
    before = beliefs(state)
    assert run_as(f"sennit-{daemon.value}", lambda: attack_state_folder(state, daemon)) == []
    assert beliefs(state) == before
    lies = list((state / daemon.value).iterdir())
    assert len(lies) > 5, "it wrote in its own folder, where no daemon looks for the others' files"
    write_applied_generation(state, 13)
    assert read_applied_generation(state) == 13
    with lock_host(state):
        pass


SECRETS = (SERVICES, SHIELD, FAST_OPEN_KEYS, SERVICES_APPLIED)


@pytest.mark.parametrize("daemon", [Daemon.FORWARDER, Daemon.PROBE])
def test_no_other_daemon_reads_the_secrets_that_agent_and_edge_exchange(state: Path, daemon: Daemon) -> None:
    for file in SECRETS:
        assert run_as(
            f"sennit-{file.writer.value}", lambda file=file: bool(file.write_text(state, "{}") or True)
        )
        assert run_as(f"sennit-{file.only_reader}", lambda file=file: file.read_text(state)) == "{}"
        assert file.path_in(state).stat().st_mode & 0o777 == 0o640

    def read_all() -> list[str]:
        found = []
        for file in SECRETS:
            with contextlib.suppress(PermissionError):
                found.append(file.path_in(state).read_text())
        return found

    assert run_as(f"sennit-{daemon.value}", read_all) == []


@pytest.mark.parametrize("daemon", [Daemon.AGENT, Daemon.EDGE])
def test_the_unit_of_a_daemon_may_write_its_folders_alone(daemon: Daemon) -> None:
    text = (SYSTEMD / f"sennit-{daemon.value}.service").read_text()
    (line,) = re.findall(r"^ReadWritePaths=(.*)$", text, re.MULTILINE)
    folders = {path.removeprefix("/var/lib/sennit/") for path in line.split() if path.startswith("/var/lib")}
    assert folders == {file.folder for file in ALL if file.writer is daemon}


def test_what_lies_in_another_s_folder_is_still_judged_by_its_owner(state: Path) -> None:
    """As after an earlier release, whose folder all daemons shared."""
    lie = APPLIED.path_in(state)
    os.chown(lie, find_user("sennit-edge").pw_uid, -1)
    with pytest.raises(StateFileInvalid, match=r"file is owned by user id .* not by its writer"):
        APPLIED.read_object(state)
    own_file(APPLIED, state)
    lie.chmod(0o660)
    with pytest.raises(StateFileInvalid, match=r"file is writable by others \(mode 0660\)"):
        APPLIED.read_object(state)
    lie.chmod(0o640)
    lie.parent.chmod(0o770)
    with pytest.raises(StateFileInvalid, match="folder forwarder is writable by others"):
        APPLIED.read_object(state)


def test_a_folder_that_is_a_link_is_not_entered(state: Path) -> None:
    (state / "forwarder").rename(state / "elsewhere")
    (state / "forwarder").symlink_to(state / "elsewhere")
    with pytest.raises(OSError, match="forwarder"):
        APPLIED.read_object(state)


def test_the_forwarder_s_own_daemon_can_lock_after_an_operator_did(state: Path) -> None:
    HOST_LOCK.path_in(state).unlink()
    with lock_host(state):
        pass

    def lock() -> bool:
        with lock_host(state):
            return True

    assert run_as("sennit-forwarder", lock)
