"""The edge that logs every request to a file beside the one that logs none: cached 1 KB, 64 connections, saturated."""

from benchmarks.edge.contenders import running_contenders
from benchmarks.edge.peers import Peer, running_caching_edge
from benchmarks.measurement.pairs import from_pairs
from benchmarks.measurement.result import Measured

ROUNDS = 9


def measure(rounds: int = ROUNDS, seconds: float = 1.5) -> list[Measured]:
    """Some forty seconds."""
    with running_contenders() as contenders:
        contenders.seconds = seconds
        logged = contenders.folder / "logged"
        logged.mkdir()
        (logged / "www").symlink_to(contenders.folder / "www")
        with running_caching_edge(logged, "--access-log", f"file:{logged / 'access.log'}") as logging:

            def rate_of(peer: Peer) -> float:
                return contenders.load(peer, "--connections", "64").per_cpu_second

            pairs = [(rate_of(logging), rate_of(contenders.ours)) for _ in range(rounds + 1)][1:]
    name = "cached 1 KB, 64 connections, with the access log"
    return [from_pairs(name, "a CPU second", "the edge without it", pairs, better="higher", target=0.95)]
