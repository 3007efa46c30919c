"""The edge that logs every request to a file beside the one that logs none: cached 1 KB, 64 connections, saturated.

The same of nginx, with lines as long, says how much of it any server would pay on this machine.
"""

from benchmarks.edge.contenders import running_contenders
from benchmarks.edge.peers import Peer, running_caching_edge, running_nginx
from benchmarks.measurement.pairs import from_pairs
from benchmarks.measurement.result import Measured

ROUNDS = 9


def measure(rounds: int = ROUNDS, seconds: float = 1.5) -> list[Measured]:
    """A minute and a half."""
    with running_contenders() as contenders:
        contenders.seconds = seconds
        logged = contenders.folder / "logged"
        logged.mkdir()
        for part in ("www", "cert.pem", "key.pem"):
            (logged / part).symlink_to(contenders.folder / part)

        def measure_pairs(logging: Peer, silent: Peer) -> list[tuple[float, float]]:
            def rate_of(peer: Peer) -> float:
                return contenders.load(peer, "--connections", "64").per_cpu_second

            return [(rate_of(logging), rate_of(silent)) for _ in range(rounds + 1)][1:]

        name, unit = "cached 1 KB, 64 connections, with the access log", "a CPU second"
        with running_caching_edge(logged, "--access-log", f"file:{logged / 'access.log'}") as logging:
            pairs = measure_pairs(logging, contenders.ours)
        results: list[Measured] = [
            from_pairs(name, unit, "the edge without it", pairs, better="higher", target=0.95)
        ]
        if contenders.nginx is not None:
            with running_nginx(logged, logged / "nginx-access.log") as logging:
                pairs = measure_pairs(logging, contenders.nginx)
            results.append(from_pairs(f"nginx: {name}", unit, "nginx without it", pairs, better="higher"))
    return results
