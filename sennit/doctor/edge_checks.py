"""Checks of an edge's host: the state folder, its daemons, BPF, BIRD, capabilities."""

import grp
import socket
import stat
import time
from pathlib import Path

from balancer.agent.health.edge_health import fetch_health
from balancer.api.schemas import Health
from node.state.catalogue import ALL, EDGE_SOCKET
from node.state.host_state import STALE_AFTER, read_host_state
from node.state.identity import find_identity
from node.state.signs import LifeSign, contact_age
from node.state.state_file import FOLDER_MODE, USER_PREFIX, Daemon, StateFile, StateFileInvalid
from runtime.capabilities import BPF, NET_ADMIN, NET_BIND_SERVICE
from sennit.doctor.check_result import CheckResult, Report
from sennit.doctor.host_checks import read_sysctl

OPEN_FILES = 65_536
AGENT_SILENCE = 30.0  # seconds
CONTROL_SILENCE = 30.0
FAST_OPEN_SERVER = 2  # bit of net.ipv4.tcp_fastopen
_CAPABILITIES = {NET_ADMIN: "CAP_NET_ADMIN", BPF: "CAP_BPF", NET_BIND_SERVICE: "CAP_NET_BIND_SERVICE"}


async def check_edge(report: Report, state: Path, bpffs: Path, bird: Path) -> None:
    """Report on this host as an edge."""
    _check_state_folder(report, state)
    node = find_identity(state)
    if node is None:
        report(
            CheckResult.error(
                "node", "not enrolled", "`sennit enrolment-token create`, then start the agent with it"
            )
        )
    else:
        report(CheckResult.fine("node", f"edge {node.edge_id} ({node.name})"))
    report(_check_agent(state))
    report(_check_control_plane(state))
    report(await _check_edge_health(state))
    _check_forwarder(report, state)
    report(_check_bpffs(bpffs))
    report(_check_bird(bird))
    report(_check_capabilities(Path("/proc/self/status").read_text()))
    report(_check_fast_open())


def _check_state_folder(report: Report, state: Path) -> None:
    if not state.is_dir():
        report(
            CheckResult.error(
                "state folder", f"{state} does not exist", "`systemd-tmpfiles --create`, or --state DIR"
            )
        )
        return
    faults = [finding for file in ALL if (finding := _check_file(file, state)) is not None]
    for finding in faults:
        report(finding)
    if not faults:
        report(CheckResult.fine("state folder", f"{state}: owners and modes are as they should be"))


def _check_file(file: StateFile, state: Path) -> CheckResult | None:
    """Return what is wrong with a file, or with its folder."""
    path, check = file.path_in(state), f"state file {file.name}"
    try:
        status, folder = path.lstat(), path.parent.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return CheckResult.error(check, f"{path}: {error.strerror}", "run the doctor as root")
    # an empty file, such as agent.alive, has nothing to read
    readable = file.mode if status.st_size or stat.S_ISSOCK(status.st_mode) else file.mode | 0o444
    for each, where, allowed in ((folder, path.parent, FOLDER_MODE), (status, path, readable)):
        if extra := stat.S_IMODE(each.st_mode) & ~allowed & 0o777:
            mode = stat.S_IMODE(each.st_mode)
            return CheckResult.error(
                check, f"{where} has mode {mode:04o}, {extra:04o} too much", f"`chmod {allowed:04o} {where}`"
            )
    if file.only_reader is not None and (finding := _check_group(file.only_reader, path, folder.st_gid)):
        return finding
    if file is EDGE_SOCKET:
        return None
    try:
        file.read_text(state)
    except StateFileInvalid as error:
        owner = f"sennit-{file.writer.value}"
        return CheckResult.error(
            check, str(error), f"`chown {owner} {path.parent} {path}`, as systemd-tmpfiles makes it"
        )
    except OSError as error:
        return CheckResult.error(check, f"{path}: {error.strerror}", "run the doctor as root")
    return None


def _check_group(reader: Daemon, path: Path, group: int) -> CheckResult | None:
    """Return what is wrong with the group of a folder of secrets; nothing on a host without a group for each daemon."""
    name = f"{USER_PREFIX}{reader.value}"
    try:
        wanted = grp.getgrnam(name).gr_gid
    except KeyError:
        return None
    if group == wanted:
        return None
    found = f"{path.parent} belongs to group {group}, not to {name}"
    remedy = f"`chgrp -R {name} {path.parent} && chmod 2750 {path.parent}`, as systemd-tmpfiles makes it"
    return CheckResult.error(f"state file {path.name}", found, remedy)


def _check_agent(state: Path) -> CheckResult:
    silent = time.monotonic() - LifeSign(state).last_sign()
    if silent > AGENT_SILENCE:
        found = (
            "no sign of life since the host's start"
            if silent == float("inf")
            else f"silent for {silent:.0f} s"
        )
        return CheckResult.error(
            "agent", found, "`systemctl status sennit-agent`, `journalctl -u sennit-agent`"
        )
    return CheckResult.fine("agent", "alive")


def _check_control_plane(state: Path) -> CheckResult:
    age = contact_age(state)
    if age is None or age > CONTROL_SILENCE:
        found = (
            "never answered"
            if age is None
            else f"silent for {age:.0f} s"
            if age != float("inf")
            else "silent"
        )
        return CheckResult.warning(
            "control plane",
            f"{found}; traffic continues without it",
            "its host and certificate; `journalctl -u sennit-agent` names the error",
        )
    return CheckResult.fine("control plane", f"answered {age:.0f} s ago")


async def _check_edge_health(state: Path) -> CheckResult:
    answer = await fetch_health(EDGE_SOCKET.path_in(state))
    reasons = "; ".join(answer.reasons)
    if answer.status is Health.OK:
        return CheckResult.fine("edge", f"{answer.sessions or 0} sessions")
    remedy = "`systemctl status sennit-edge`, `journalctl -u sennit-edge`"
    if answer.status is Health.DOWN:
        return CheckResult.error("edge", reasons, remedy)
    return CheckResult.error("edge", f"{answer.status.value}: {reasons}", f"what the reason names; {remedy}")


def _check_forwarder(report: Report, state: Path) -> None:
    host = read_host_state(state)
    if host is None or not 0 <= time.monotonic() - host.at < STALE_AFTER:
        found = (
            "has never checked this host"
            if host is None
            else f"has not checked this host for {STALE_AFTER:g} s"
        )
        report(
            CheckResult.error("forwarder", found, "`systemctl status sennit-forwarder sennit-forwarder-load`")
        )
        return
    deviating = [item for item in host.items if item.deviation]
    for item in deviating:
        make = CheckResult.error if item.hard else CheckResult.warning
        found = str(item.deviation)
        report(
            make(f"forwarder: {item.name}", found, "docs/operate/troubleshooting.md has the row of this item")
        )
    if not deviating:
        report(CheckResult.fine("forwarder", f"{len(host.items)} items of the host are as they should be"))


def _check_bpffs(bpffs: Path) -> CheckResult:
    check = "BPF file system"
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [Path(each[1]) for each in mounts if each[2] == "bpf"]
    if any(bpffs == each or each in bpffs.parents for each in above):
        return CheckResult.fine(check, str(bpffs))
    return CheckResult.error(
        check,
        f"none at {bpffs}",
        "`systemctl start run-sennit-bpf.mount`; in a container a volume of type bpf, or `mount -t bpf bpf DIR`",
    )


def _check_bird(path: Path) -> CheckResult:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            asked.settimeout(2.0)
            asked.connect(str(path))
            greeting = asked.recv(256).decode("latin-1").strip()
    except OSError as error:
        found = f"{path}: {error.strerror or error}"
        return CheckResult.error("BIRD", found, "`systemctl status bird`, or --bird-socket PATH")
    if "BIRD" not in greeting:
        return CheckResult.error("BIRD", f"{path}: something else answers", "--bird-socket PATH")
    return CheckResult.fine("BIRD", greeting[:80])


def _check_capabilities(status: str) -> CheckResult:
    """`status` is /proc/PID/status: what no process here can have, no daemon has."""
    line = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    mask = int(line.split()[1], 16)
    missing = [name for number, name in _CAPABILITIES.items() if not mask >> number & 1]
    if missing:
        found = f"{', '.join(missing)} cannot be had here"
        return CheckResult.error(
            "capabilities", found, "give them to the container (cap_add), or use a machine"
        )
    return CheckResult.fine("capabilities", ", ".join(_CAPABILITIES.values()))


def _check_fast_open() -> CheckResult:
    value = read_sysctl("net.ipv4.tcp_fastopen")
    if value is None or not int(value) & FAST_OPEN_SERVER:
        return CheckResult.warning(
            "Fast Open",
            f"net.ipv4.tcp_fastopen is {value}: a second path costs another round trip",
            "`sysctl -w net.ipv4.tcp_fastopen=3`",
        )
    return CheckResult.fine("Fast Open", f"net.ipv4.tcp_fastopen is {value}")
