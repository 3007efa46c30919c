"""Attacks on the edges' nodes instead of a session: a daemon that was taken over, a hostile peer, an ICMP flood.

After each the phone downloads: the outcome is safe where the attack had no effect and the file arrives.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL

from lab.attack.cells import AttackOutcome, Powers
from lab.attack.forwarder_counts import read_reasons
from lab.attack.hostile_writer import attack_state_folder
from lab.attack.other_user import run_as_user
from lab.attack.run import AttackRunner, Result
from lab.topology import VIP, LabNode
from lab.wait import wait_for
from node.state.catalogue import ALL
from node.state.state_file import Daemon

NODE = "the edges' nodes"
STRANGER = 64_999  # a user and a group of no daemon
PEER_PORT = 8444  # of `sennit agent`
LOCATOR_BASE = 10_000
ANSWERS = 20  # hostile ones that the other edges' agents ask for
GROWTH_LIMIT = 32 << 20  # bytes of an agent meanwhile
ERRORS_PER_SECOND, ERRORS_AT_ONCE = (
    1_000,
    700,
)  # what the budget of ICMP errors permits, and some for the clock
DROPPED = 2_000


def attack_nodes(runner: AttackRunner, folder: Path) -> list[Result]:
    """Run every attack, each followed by a download. Raises `LabFailed`."""
    attacks: dict[str, Callable[[AttackRunner, Path], str]] = {
        "a hostile edge in the state folder": attack_by_writer,
        "a hostile peer": attack_by_peer,
        "a flood of ICMP errors": attack_by_errors,
    }
    return [_judge_attack(name, attack(runner, folder), runner) for name, attack in attacks.items()]


def _judge_attack(name: str, effect: str, runner: AttackRunner) -> Result:
    arrived = runner.downloads_sample()
    outcome = AttackOutcome.SAFE if arrived and not effect else AttackOutcome.NOT_DETECTED
    ok = outcome is AttackOutcome.SAFE
    return Result(NODE, name, Powers.ONE, outcome, effect, "", AttackOutcome.SAFE, ok)


def attack_by_writer(runner: AttackRunner, folder: Path) -> str:
    """Have a stranger own the edge server's folder, and try to change what the other daemons believe."""
    edge = runner.lab.topology.edges()[0]
    state = runner.lab.place.node(edge.name)
    own = {file.path_in(state).parent for file in ALL if file.writer is Daemon.EDGE}
    before, mode = _others_files(state), state.stat().st_mode & 0o777
    try:
        for path in (*state.parents, state):
            if path.is_relative_to(runner.lab.place.folder):
                path.chmod(path.stat().st_mode | 0o011)
        _own_folders(own, STRANGER, STRANGER)
        done: list[str] = run_as_user(STRANGER, STRANGER, lambda: attack_state_folder(state, Daemon.EDGE))
    finally:
        _own_folders(own, os.geteuid(), os.getegid())
        state.chmod(mode)
    lost = before - _others_files(state)
    return "; ".join([*done, *(f"{name} is gone" for name in sorted(lost))])


def _own_folders(folders: set[Path], user: int, group: int) -> None:
    for folder in filter(Path.exists, folders):
        os.chown(folder, user, group)


def _others_files(state: Path) -> set[str]:
    """Return the names of the other daemons' files that are regular ones of this user."""
    return {
        file.name
        for file in ALL
        if file.writer is not Daemon.EDGE
        and (path := file.path_in(state)).is_file()
        and not path.is_symlink()
        and path.stat().st_uid == os.geteuid()
    }


def attack_by_peer(runner: AttackRunner, folder: Path) -> str:
    """Put a hostile agent in the place of one edge's, and see what it costs those that ask it."""
    lab = runner.lab
    nearest = {lab.topology.nearest_edge(carrier).name for carrier in runner.carriers}
    hostile = next(edge for edge in lab.topology.edges() if edge.name not in nearest)
    others = [edge for edge in lab.topology.edges() if edge is not hostile]
    before = [_agent_memory(runner, edge) for edge in others]
    lab.send(hostile, "agent", SIGKILL)
    log = folder / "peer.log"
    address = lab.topology.backbone_address(hostile.name)
    command = (sys.executable, "-m", "lab.attack.hostile_peer", address, str(PEER_PORT), str(hostile.edge_id))
    try:
        with runner.daemon(hostile.name, log, *command):
            wait_for(
                "questions to the hostile peer", lambda: log.read_text().count("answered") >= ANSWERS, 60, log
            )
            grown = max(_agent_memory(runner, edge) - old for edge, old in zip(others, before, strict=True))
    finally:
        lab.start(hostile, "agent")
        lab.wait_until_announced(hostile)
    return f"an agent grew by {grown >> 20} MiB" if grown > GROWTH_LIMIT else ""


def _agent_memory(runner: AttackRunner, edge: LabNode) -> int:
    pids = runner.lab.pids(edge, "agent")
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def attack_by_errors(runner: AttackRunner, folder: Path) -> str:
    """Flood one edge, through another, with ICMP errors about subflows that never were."""
    lab = runner.lab
    ingress = lab.topology.nearest_edge(runner.carriers[0])
    owner = next(edge for edge in lab.topology.edges() if edge is not ingress)
    assert owner.edge_id is not None
    interface = next(
        own.interface for own, other, _ in lab.topology.ends("phone") if other.node == runner.carriers[0]
    )
    started, before = time.monotonic(), read_reasons(lab, ingress)
    locator = str(LOCATOR_BASE + owner.edge_id)
    command = (sys.executable, "-m", "lab.attack.icmp_flood", VIP, locator, "--interface", interface)
    log = folder / "flood.log"
    with runner.daemon("phone", log, *command):
        wait_for(
            "errors beyond the budget",
            lambda: read_reasons(lab, ingress)["drop_error_budget"] > before["drop_error_budget"] + DROPPED,
            60,
            log,
        )
        arrived = runner.downloads_sample()
        passed = read_reasons(lab, ingress)["icmp_forwarded"] - before["icmp_forwarded"]
        limit = ERRORS_AT_ONCE + ERRORS_PER_SECOND * (time.monotonic() - started)
    if passed > limit:
        return f"{passed} errors passed, {limit:.0f} may"
    return "" if arrived else "no download meanwhile"
