"""`sennit doctor --edge`: a good edge has no error, and each broken one is named with its remedy."""

import grp
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.server.status.health import HealthEndpoint
from node.state.catalogue import CREDENTIAL, EDGE_SOCKET, FAST_OPEN_KEYS
from node.state.fast_open_keys import write_keys
from node.state.host_state import HostState, ItemState, write_host_state
from node.state.identity import NodeIdentity, write_identity
from node.state.signs import LifeSign, write_contact
from node.vip import Vip
from sennit.doctor import edge_checks, host_checks
from sennit.doctor.check_result import CheckResult, Severity

HEALTHY = {"status": "ok", "reasons": [], "sessions": 3, "sessions_at_service_port": 1}


class EdgeHost:
    """The state folder of an edge, its health socket and a BIRD."""

    def __init__(self, folder: Path) -> None:
        self.state, self.bird = folder / "state", folder / "bird.ctl"
        self.health: dict[str, Any] = dict(HEALTHY)
        write_identity(self.state, NodeIdentity(7, "edge7", Vip("main", "203.0.113.1", None, 443)))
        CREDENTIAL.write_text(self.state, "{}")
        LifeSign(self.state).give_sign()
        write_contact(self.state)
        write_host_state(self.state, HostState(time.monotonic(), (ItemState("sysctl a", hard=True),)))
        EDGE_SOCKET.create_folder(self.state)
        self.endpoint = HealthEndpoint(EDGE_SOCKET.path_in(self.state), lambda: self.health)

    async def find_errors(self) -> dict[str, CheckResult]:
        """Return the errors by name; those of this machine (capabilities, BPF) are left out."""
        found: list[CheckResult] = []
        await edge_checks.check_edge(found.append, self.state, Path("/nowhere"), self.bird)
        assert all(each.remedy for each in found if each.severity is not Severity.OK)
        errors = {each.check: each for each in found if each.severity is Severity.ERROR}
        return {name: errors[name] for name in errors if name not in ("capabilities", "BPF file system")}


@pytest.fixture
def bird(tmp_path: Path) -> Iterator[None]:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "bird.ctl"))
    listening.listen()

    def greet() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"0001 BIRD 2.0.12 ready.\n")

    thread = threading.Thread(target=greet, daemon=True)
    thread.start()
    yield
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


async def test_a_good_edge_has_no_error(tmp_path: Path, bird: None) -> None:
    host = EdgeHost(tmp_path)
    await host.endpoint.start()
    assert await host.find_errors() == {}
    await host.endpoint.stop()


def lose_node(host: EdgeHost) -> None:
    (host.state / "agent" / "node.json").unlink()


def open_credential(host: EdgeHost) -> None:
    CREDENTIAL.path_in(host.state).chmod(0o644)


def open_folder(host: EdgeHost) -> None:
    (host.state / "forwarder").chmod(0o777)


def silence_agent(host: EdgeHost) -> None:
    os.utime(host.state / "agent" / "agent.alive", (1, 1))


def degrade(host: EdgeHost) -> None:
    host.health.update(status="degraded", reasons=["origin: no answer"])


def deviate(host: EdgeHost) -> None:
    items = (ItemState("sysctl net.ipv4.ip_forward", hard=True, deviation="0 instead of 1"),)
    write_host_state(host.state, HostState(time.monotonic(), items))


def age_host_state(host: EdgeHost) -> None:
    write_host_state(host.state, HostState(time.monotonic() - 60, ()))


def lose_bird(host: EdgeHost) -> None:
    host.bird = host.state / "none.ctl"


@pytest.mark.parametrize(
    ("break_host", "check", "found", "remedy"),
    [
        (lose_node, "node", "not enrolled", "enrolment-token"),
        (open_credential, "state file credential.json", "mode 0644, 0044 too much", "chmod 0600"),
        (open_folder, "state file host.json", "mode 0777, 0027 too much", "chmod 0750"),
        (silence_agent, "agent", "silent for", "systemctl status sennit-agent"),
        (degrade, "edge", "degraded: origin: no answer", "journalctl -u sennit-edge"),
        (deviate, "forwarder: sysctl net.ipv4.ip_forward", "0 instead of 1", "troubleshooting.md"),
        (age_host_state, "forwarder", "has not checked this host for 15 s", "sennit-forwarder"),
        (lose_bird, "BIRD", "No such file", "--bird-socket"),
    ],
)
async def test_what_is_wrong_is_named_with_its_remedy(
    tmp_path: Path, bird: None, break_host: Callable[[EdgeHost], None], check: str, found: str, remedy: str
) -> None:
    host = EdgeHost(tmp_path)
    await host.endpoint.start()
    break_host(host)
    errors = await host.find_errors()
    await host.endpoint.stop()
    assert check in errors
    assert found in errors[check].found
    assert remedy in errors[check].remedy
    assert len(errors) == 1


async def test_a_folder_of_secrets_of_another_group_than_its_reader_s_is_named(
    tmp_path: Path, bird: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = EdgeHost(tmp_path)
    await host.endpoint.start()
    write_keys(host.state, ["22" * 16])
    group = FAST_OPEN_KEYS.path_in(host.state).stat().st_gid
    monkeypatch.setattr(grp, "getgrnam", lambda name: SimpleNamespace(gr_gid=group + 1))
    (error,) = (await host.find_errors()).values()
    assert error.check == "state file fast-open.keys"
    assert f"agent-edge belongs to group {group}, not to sennit-edge" in error.found
    assert "chgrp -R sennit-edge" in error.remedy
    monkeypatch.setattr(grp, "getgrnam", lambda name: SimpleNamespace(gr_gid=group))
    assert await host.find_errors() == {}
    await host.endpoint.stop()


async def test_an_edge_that_does_not_listen_is_named(tmp_path: Path, bird: None) -> None:
    errors = await EdgeHost(tmp_path).find_errors()
    assert set(errors) == {"edge"}
    assert errors["edge"].found == "edge: not listening"


def test_capabilities_that_no_daemon_can_have_are_named() -> None:
    missing = edge_checks._check_capabilities("Name:\tx\nCapBnd:\t00000000a80425fb\n")  # of a plain container
    assert missing.found == "CAP_NET_ADMIN, CAP_BPF cannot be had here"
    assert edge_checks._check_capabilities("CapBnd:\t000001ffffffffff\n").severity is Severity.OK


def test_a_folder_without_the_bpf_file_system_is_named(tmp_path: Path) -> None:
    assert edge_checks._check_bpffs(tmp_path).severity is Severity.ERROR
    assert "run-sennit-bpf.mount" in edge_checks._check_bpffs(tmp_path).remedy


@pytest.mark.parametrize(
    ("release", "severity"),
    [("5.15.0-91-generic", Severity.ERROR), ("6.1.0-18-amd64", Severity.OK), ("7.0", Severity.OK)],
)
def test_an_old_kernel_is_named(release: str, severity: Severity) -> None:
    assert host_checks._check_kernel(release).severity is severity


def test_too_few_open_files_are_named() -> None:
    found: list[CheckResult] = []
    host_checks.check_host(found.append, open_files=1 << 40)
    assert any(each.check == "open files" and each.severity is Severity.ERROR for each in found) or any(
        each.found == "at most -1" for each in found
    )
