"""What breaks at the edge of the first path, one after the other, and how long it is until new downloads succeed.

Where the edge is lost, new downloads go to another one; where it is not, none fails at all.
"""

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.errors import LabFailed
from lab.namespace import daemons
from lab.namespace.running import NamespaceLab
from lab.running import Lab
from lab.scenarios.download import download_sample, nearest_to_first_path
from lab.scenarios.verdict import Verdict
from lab.topology import VIP, LabNode
from lab.wait import scale_limit, wait_for
from node.state.catalogue import APPLIED

PATIENCE = 60.0  # seconds to wait for anything before the scenario fails
LEASE = 3.0  # seconds, instead of the usual 10: so many things end with it
AWAY = 9.0  # seconds without a control plane: three leases
FREEZE, THAW = signal.SIGSTOP, signal.SIGCONT


@dataclass(frozen=True, slots=True)
class Loss:
    """A failure by which the edge is lost. `limit`: seconds to a finished download from another."""

    what: str
    limit: float
    does: Callable[[], None]
    undoes: Callable[[], None]


def _ways_to_lose(lab: NamespaceLab, edge: LabNode) -> tuple[Loss, ...]:
    """Every way in which the edge is lost."""

    def send(daemon: str, number: signal.Signals) -> Callable[[], None]:
        return lambda: lab.send(edge, daemon, number)

    def link(state: str) -> Callable[[], None]:
        return lambda: _run_ip(lab, edge, "link", "set", "bb0", state)

    origin = lab.topology.backbone_address("origin")
    return (
        Loss("server killed", 6, send("edge", signal.SIGKILL), lambda: lab.start(edge, "edge")),
        # 3 s without an answer, and up to two looks of 1.5 s that are not answered
        Loss("server hangs", 15, send("edge", FREEZE), send("edge", THAW)),
        Loss("BIRD killed", 6, send("bird", signal.SIGKILL), lambda: lab.start(edge, "bird")),
        Loss("VIP removed", 8, lambda: _change_vip(lab, edge, "del"), lambda: _change_vip(lab, edge, "replace")),
        Loss(
            "forwarder detached",
            10,
            lambda: _run_forwarder(lab, edge, "detach"),
            lambda: _run_forwarder(lab, edge, "load"),
        ),
        # BFD gives up after 1.5 s, BGP alone after 9 s
        Loss("host frozen", 12, send("all", FREEZE), send("all", THAW)),
        # two looks at the peers, 5 s of silence of the control plane, then the peers stand in
        Loss("backbone cut", 20, link("down"), link("up")),
        # noticed after two looks 2 s apart, lasting for 2 s, then a grant
        Loss(
            "way to the origin cut",
            20,
            lambda: _run_ip(lab, edge, "route", "add", "unreachable", f"{origin}/32"),
            lambda: _run_ip(lab, edge, "route", "del", "unreachable", f"{origin}/32"),
        ),
    )  # fmt: skip


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` when no download succeeds at all, or the lab is of containers."""
    if not isinstance(lab, NamespaceLab):
        raise LabFailed("this scenario freezes and kills single daemons: namespaces only")
    edge = nearest_to_first_path(lab)
    control = lab.topology.node("control")
    restart_control(lab, control, "--lease-seconds", str(LEASE))
    try:
        for loss in _ways_to_lose(lab, edge):
            _lose_edge(lab, verdict, edge, loss)
        _agent_killed(lab, verdict, edge)
        _origin_down(lab, verdict)
        _control_away(lab, verdict, control)
    finally:
        restart_control(lab, control)


def _lose_edge(lab: NamespaceLab, verdict: Verdict, edge: LabNode, loss: Loss) -> None:
    started = time.monotonic()
    loss.does()
    try:
        while _current_owner(lab) in (None, edge.edge_id):  # it may serve until it is withdrawn
            if time.monotonic() - started > scale_limit(PATIENCE):
                raise LabFailed(
                    f"{loss.what}: no download from another edge within {scale_limit(PATIENCE):g} s"
                )
        seconds = time.monotonic() - started
        verdict.within(f"{loss.what}: downloads from another edge after", seconds, loss.limit, "s")
    finally:
        loss.undoes()
    lab.wait_until_announced(edge)
    _wait_until_well(lab)  # what is left of one failure would make the next one noticed sooner


def _current_owner(lab: NamespaceLab) -> int | None:
    """The edge that a new download is served by; None where it fails."""
    try:
        return download_sample(lab, "--timeout", str(scale_limit(2))).owner
    except LabFailed:
        return None


def _agent_killed(lab: NamespaceLab, verdict: Verdict, edge: LabNode) -> None:
    """Nothing fails; the peers keep the edge in the table, the watcher takes the route back."""
    started = time.monotonic()
    lab.send(edge, "agent", signal.SIGKILL)
    try:
        verdict.equal(
            "agent killed: the next download's owner", download_sample(lab).owner, edge.edge_id or 0
        )
        owner = edge.edge_id
        while owner == edge.edge_id and time.monotonic() - started < scale_limit(PATIENCE):
            owner = download_sample(lab).owner
        verdict.within(
            "  withdrawn by its watcher after", time.monotonic() - started, daemons.DEADMAN + 8.0, "s"
        )
        shown = _edges_by_name(lab)[edge.name]
        verdict.equal("  its lease is lost, and the table keeps it", shown["state"], "up")
        verdict.equal("  health", shown["health"]["state"], "degraded")
    finally:
        lab.start(edge, "agent")
    lab.wait_until_announced(edge)


def _origin_down(lab: NamespaceLab, verdict: Verdict) -> None:
    """Every edge has a soft failure at once: cached responses are served, and no edge withdraws."""
    origin = lab.topology.node("origin")
    lab.send(origin, "origin", signal.SIGKILL)
    try:
        wait_for(
            "every edge to notice",
            lambda: all(_has_reason(edge, "origin") for edge in _edges_by_name(lab).values()),
            30,
        )
        verdict.equal("origin down: edges that announce", _count_announcing(lab), len(lab.topology.edges()))
        started = time.monotonic()
        download_sample(lab)
        verdict.within("  a download of what is cached takes", time.monotonic() - started, 5, "s")
    finally:
        lab.start(origin, "origin")
    _wait_until_well(lab)


def _wait_until_well(lab: NamespaceLab) -> None:
    wait_for("every edge to be well", lambda: all(_is_up(edge) for edge in _edges_by_name(lab).values()), 60)


def _control_away(lab: NamespaceLab, verdict: Verdict, control: LabNode) -> None:
    """Traffic and forwarding go on for leases on end; after its start nothing expires."""
    before = _applied_generations(lab)
    lab.send(control, "control", signal.SIGKILL)
    ended, failed, done = time.monotonic() + AWAY, 0, 0
    while time.monotonic() < ended:
        try:
            download_sample(lab)
            done += 1
        except LabFailed:
            failed += 1
    verdict.note("control plane away: downloads meanwhile", done)
    verdict.equal("  that failed", failed, 0)
    verdict.equal("  tables at the edges", _applied_generations(lab), before)
    restart_control(lab, control, "--lease-seconds", str(LEASE), wait=False)
    down, ended = 0, time.monotonic() + 2.5 * LEASE
    while time.monotonic() < ended:
        down += sum(edge["state"] != "up" for edge in _edges_by_name(lab).values())
    verdict.equal("  edges called down after its start", down, 0)


def restart_control(lab: NamespaceLab, control: LabNode, *options: str, wait: bool = True) -> None:
    """End the control plane, if it runs, and start it with other settings."""
    lab.send(control, "control", signal.SIGTERM)
    wait_for("the control plane's end", lambda: not lab.pids(control, "control"), 15)
    lab.start(control, "control", *options)
    wait_for("the control plane's start", lambda: _control_answers(lab), 20)
    if wait:
        edges = len(lab.topology.edges())
        wait_for("every edge's lease", lambda: sum(map(_is_up, _edges_by_name(lab).values())) == edges, 20)


def _edges_by_name(lab: NamespaceLab) -> dict[str, Any]:
    return {edge["name"]: edge for edge in json.loads(lab.operate("edges", "list", "--json"))}


def _control_answers(lab: NamespaceLab) -> bool:
    try:
        return bool(_edges_by_name(lab))
    except LabFailed:
        return False


def _is_up(edge: dict[str, Any]) -> bool:
    return edge["lease"] is not None and edge["health"]["state"] == "up"


def _has_reason(edge: dict[str, Any], word: str) -> bool:
    return any(reason["reason"].startswith(word) for reason in edge["health"]["reasons"])


def _count_announcing(lab: NamespaceLab) -> int:
    return sum(bool(edge["lease"] and edge["lease"]["announcing"]) for edge in _edges_by_name(lab).values())


def _applied_generations(lab: NamespaceLab) -> str:
    tables = [APPLIED.path_in(lab.place.node(edge.name)) for edge in lab.topology.edges()]
    return ", ".join(str(json.loads(path.read_text())["generation"]) for path in tables)


def _change_vip(lab: NamespaceLab, edge: LabNode, verb: str) -> None:
    _run_ip(lab, edge, "address", verb, f"{VIP}/32", "dev", "lo")


def _run_forwarder(lab: NamespaceLab, edge: LabNode, action: str) -> None:
    daemons.run(lab.place, edge.name, *daemons.forwarder_command(lab.place, edge, action))


def _run_ip(lab: NamespaceLab, node: LabNode, *words: str) -> None:
    daemons.run(lab.place, node.name, "ip", *words)
