"""The edge beside nginx and uvicorn over TLS 1.3 (X25519, ECDSA P-256, AES-128-GCM), on loopback, in turn in one run.

What is compared is work per second of the server's processor time, all its processes counted: the clients are slower
than the servers, and other load on the machine does not enter. Sessions are SMKEX over transport tcp, both paths on
loopback, two TCP connections each. Without nginx (Debian: nginx-light) its comparisons are left out.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.edge.peers import Peer, make_certificate, running_caching_edge, running_nginx, running_uvicorn
from benchmarks.measurement.pairs import from_pairs
from benchmarks.measurement.result import Measured, Value

ROUNDS = 5
SECONDS = 1.5
LARGE = 256 << 20
SESSIONS = 200


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of clients did: how much, the server's processor seconds, the median time, memory added.

    `client_cpu`: the client's own processor seconds, of `large` alone.
    """

    count: float
    cpu: float
    median: float
    resident: int
    client_cpu: float = 0.0

    @property
    def per_cpu_second(self) -> float:
        return self.count / self.cpu


def measure() -> list[Measured]:
    """About three minutes."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        make_certificate(folder)
        www = folder / "www"
        www.mkdir()
        (www / "small").write_bytes(bytes(1024))
        with (www / "large").open("wb") as file:
            file.truncate(LARGE)
        ours = stack.enter_context(running_caching_edge(folder))
        peers = [stack.enter_context(running_uvicorn(folder))]
        if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"):
            peers.insert(0, stack.enter_context(running_nginx(folder)))
        else:
            print("edge: there is no nginx here: compared with uvicorn only", file=sys.stderr)
        memory = _measure_memory(ours, peers)  # first: what a busy server has freed it does not give back
        return [
            *_measure_small(ours, peers),
            *_measure_others(ours, peers),
            _measure_access_log(ours, folder),
            *memory,
        ]


def _measure_small(ours: Peer, peers: list[Peer]) -> list[Measured]:
    found: list[Measured] = []
    for connections, targets in ((1, {}), (64, {"nginx": 0.8, "uvicorn": 2.0})):
        pairs = _in_turn(ours, peers, "small", connections, lambda load: load.per_cpu_second)
        for peer in peers:
            name = f"cached 1 KB, {connections} connection{'s' * (connections > 1)}, beside {peer.name}"
            found.append(
                from_pairs(
                    name,
                    "a CPU second",
                    peer.name,
                    pairs[peer.name],
                    better="higher",
                    target=targets.get(peer.name),
                )
            )
    return found


def _measure_others(ours: Peer, peers: list[Peer]) -> list[Measured]:
    found: list[Measured] = []
    beside = [peer for peer in peers if peer.name == "nginx"] or peers
    if beside[0].name == "nginx":  # the bare application has no large file
        for name, peer_name, take in (
            ("bulk", "nginx", lambda load: load.per_cpu_second / 1e9),
            ("bulk, the client's side", "asyncio over TLS", lambda load: load.count / load.client_cpu / 1e9),
        ):
            pairs = _in_turn(ours, beside, "large", 1, take)
            made = from_pairs(name, "GB a CPU second", peer_name, pairs["nginx"], better="higher", target=1.0)
            found.append(made)
    for what, unit, better, take in (
        ("full handshakes", "a CPU second", "higher", lambda load: load.per_cpu_second),
        ("connect and handshake", "ms", "lower", lambda load: load.median * 1000),
    ):
        connections = 4 if better == "higher" else 1
        pairs = _in_turn(ours, beside, "handshake", connections, take)
        peer = beside[0].name
        target = 1.0 if better == "higher" else None
        found.append(from_pairs(what, unit, peer, pairs[peer], better=better, target=target))  # type: ignore[arg-type]
    return found


def _measure_access_log(ours: Peer, folder: Path) -> Measured:
    """Hold an edge that logs every request to a file against the one that logs none."""
    logged = folder / "logged"
    logged.mkdir()
    (logged / "www").symlink_to(folder / "www")
    with running_caching_edge(logged, "--access-log", f"file:{logged / 'access.log'}") as logging:
        pairs = []
        for round_ in range(ROUNDS + 1):
            on, off = (_run(each, "small", 64).per_cpu_second for each in (logging, ours))
            if round_:
                pairs.append((on, off))
    name = "cached 1 KB, 64 connections, with the access log"
    return from_pairs(name, "a CPU second", "the edge without it", pairs, better="higher", target=0.95)


def _measure_memory(ours: Peer, peers: list[Peer]) -> list[Measured]:
    found: list[Measured] = []
    for peer in (ours, *peers):
        _run(peer, "small", 1)
        each = _run(peer, "idle", SESSIONS).resident / SESSIONS / 1024
        target = 64.0 if peer is ours else None
        found.append(
            Value(f"memory of an idle session, {peer.name}", "KB", "lower", each, each, each, target)
        )
    return found


def _in_turn(
    ours: Peer, peers: list[Peer], what: str, connections: int, take: Callable[[Load], float]
) -> dict[str, list[tuple[float, float]]]:
    """Pairs (ours, peer) by peer's name; the first round warms up."""
    pairs: dict[str, list[tuple[float, float]]] = {peer.name: [] for peer in peers}
    for round_ in range(ROUNDS + 1):
        mine = take(_run(ours, what, connections))
        for peer in peers:
            theirs = take(_run(peer, what, connections))
            if round_:
                pairs[peer.name].append((mine, theirs))
    return pairs


def _run(peer: Peer, what: str, connections: int) -> Load:
    kind = "session" if peer.name == "edge" else "tls"
    command = [sys.executable, "-m", "benchmarks.edge.load_client", kind, what, str(peer.port)]
    process = subprocess.Popen(
        [*command, str(connections), str(SECONDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    _expect_line(process, "go")
    cpu, resident = peer.cpu(), peer.resident()
    _expect_line(process, "done")
    cpu, resident = peer.cpu() - cpu, peer.resident() - resident
    with contextlib.suppress(BrokenPipeError):  # most do not wait for it
        process.stdin.write("\n")
        process.stdin.close()
    said = json.loads(process.stdout.readline())
    process.stdout.close()
    process.wait(60)
    return Load(said["count"], max(cpu, 1e-6), said["median"], resident, said.get("client_cpu", 0.0))


def _expect_line(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    if line.strip() != word:
        raise RuntimeError(f"the clients failed: {line}")
