"""The edge beside nginx over TLS 1.3 (X25519, ECDSA P-256, AES-128-GCM), on loopback, in turn in one run.

What is compared is work per second of the server's processor time, all its processes counted. The server has one
processor, the load generator (`benchmarks/edge/load`, in C, the same for both protocols) the other: as far as it can,
it keeps the server busy all the time, for a server that waits costs more for each response. How busy each was stands
with its figure. Rows at an equal rate compare them where neither is. Sessions are SMKEX over transport tcp, X25519,
both paths on loopback, two TCP connections each.

`python -m benchmarks.edge.requests [ROW ...]` measures some rows only, and saves nothing.
"""

import argparse
import sys
from collections.abc import Callable

from benchmarks.edge.contenders import Contenders, running_contenders
from benchmarks.edge.load_generator import Load
from benchmarks.edge.peers import Peer
from benchmarks.measurement.machine import describe_machine
from benchmarks.measurement.pairs import from_pairs
from benchmarks.measurement.result import Better, Measured, Value

ROUNDS = 5
SESSIONS = 200
RATE_SHARE = 0.6  # of what the edge reaches: the equal rate

Run = Callable[[Peer], Load]


def measure(rows: list[str] | None = None, rounds: int = ROUNDS, seconds: float = 1.5) -> list[Measured]:
    """Measure all rows, or those named: about six minutes."""
    with running_contenders() as contenders:
        contenders.seconds = seconds
        found: list[Measured] = []
        for name, row in ROWS.items():
            if rows is None or name in rows:
                made = row(contenders, rounds)
                found += made
                if rows is not None:
                    print(*(each.text() for each in made), sep="\n", flush=True)
        return found


def _compare_servers(
    contenders: Contenders,
    rounds: int,
    name: str,
    run: Run,
    *,
    unit: str = "a CPU second",
    take: Callable[[Load], float] = lambda load: load.per_cpu_second,
    better: Better = "higher",
    target: float | None = None,
    peer: Peer | None = None,
    peer_name: str | None = None,
    show: str | None = None,
) -> list[Measured]:
    """Load the edge and its peer in turn; the first round warms up. `show` is the unit of the rates to show, if any."""
    peer = peer or contenders.over_tls
    pairs = [(run(contenders.ours), run(peer)) for _ in range(rounds + 1)][1:]
    made = from_pairs(
        name,
        unit,
        peer_name or peer.name,
        [(take(ours), take(theirs)) for ours, theirs in pairs],
        better=better,
        target=target,
        ours_load=_describe_load([ours for ours, _ in pairs], show),
        peer_load=_describe_load([theirs for _, theirs in pairs], show),
    )
    return [made]


def _describe_load(loads: list[Load], unit: str | None) -> str:
    if unit is None:
        return ""
    middle = sorted(loads, key=lambda load: load.utilisation)[len(loads) // 2]
    rate = f"{middle.rate / 1e9:.2f} GB/s" if unit == "bytes" else f"{middle.rate:,.0f}/s"
    return f"{middle.utilisation:.0%} busy, {rate}"


# --- rows


def _cached_row(
    name: str, connections: int, target: float | None, title: str
) -> Callable[..., list[Measured]]:
    def measure_row(contenders: Contenders, rounds: int) -> list[Measured]:
        def run(peer: Peer) -> Load:
            return contenders.load(peer, "--connections", str(connections), "--target", f"/{name}")

        words = f"cached {title}, {connections} connection{'s' * (connections > 1)}"
        return _compare_servers(contenders, rounds, words, run, target=target, show="responses")

    return measure_row


def _measure_beside_uvicorn(contenders: Contenders, rounds: int) -> list[Measured]:
    def run(peer: Peer) -> Load:
        return contenders.load(peer, "--connections", "64")

    name = "cached 1 KB, 64 connections, beside a bare application"
    return _compare_servers(contenders, rounds, name, run, peer=contenders.uvicorn, show="responses")


def _equal_rate_row(name: str, count: str, *options: str) -> Callable[..., list[Measured]]:
    def measure_row(contenders: Contenders, rounds: int) -> list[Measured]:
        reached = contenders.load(contenders.ours, *options, count=count).rate
        rate = f"{RATE_SHARE * reached:.0f}"

        def run(peer: Peer) -> Load:
            return contenders.load(peer, *options, "--rate", rate, count=count)

        return _compare_servers(contenders, rounds, f"{name}, at an equal rate", run, show=count)

    return measure_row


def _measure_by_python(contenders: Contenders, rounds: int) -> list[Measured]:
    def run(peer: Peer) -> Load:
        return contenders.load_by_python(peer, "small", 64)

    name = "cached 1 KB, 64 connections, clients in Python"
    return _compare_servers(contenders, rounds, name, run, show="responses")


def _handshake_row(name: str, target: float | None, *options: str) -> Callable[..., list[Measured]]:
    def measure_row(contenders: Contenders, rounds: int) -> list[Measured]:
        def run(peer: Peer) -> Load:
            every = "--connections", "8", "--handshakes", *options
            return contenders.load(peer, *every, count="handshakes")

        return _compare_servers(contenders, rounds, name, run, target=target, show="handshakes")

    return measure_row


def _measure_connect(contenders: Contenders, rounds: int) -> list[Measured]:
    def run(peer: Peer) -> Load:
        return contenders.load(peer, "--handshakes", count="handshakes")

    return _compare_servers(
        contenders,
        rounds,
        "connect and handshake",
        run,
        unit="ms",
        take=lambda load: load.median * 1000,
        better="lower",
        target=1.0,
    )


def _measure_hybrid(contenders: Contenders, rounds: int) -> list[Measured]:
    """The clients are in Python: OpenSSL 3.0 has no ML-KEM for one in C."""
    ours = contenders.ours
    runs = [
        [
            contenders.load_by_python(ours, "handshake", 4, group).per_cpu_second
            for group in ("session", "classical")
        ]
        for _ in range(rounds + 1)
    ]
    name = "handshakes with X25519MLKEM768, clients in Python"
    pairs = [(hybrid, classical) for hybrid, classical in runs[1:]]
    return [from_pairs(name, "a CPU second", "with X25519", pairs, better="higher")]


def _measure_bulk(contenders: Contenders, rounds: int) -> list[Measured]:
    if contenders.nginx is None:  # the bare application has no large object
        return []

    def run(peer: Peer) -> Load:
        return contenders.load(peer, "--target", "/large", count="bytes")

    return _compare_servers(
        contenders,
        rounds,
        "bulk",
        run,
        unit="GB a CPU second",
        take=lambda load: load.per_cpu_second / 1e9,
        target=1.2,
        show="bytes",
    )


def _measure_download(contenders: Contenders, rounds: int) -> list[Measured]:
    if contenders.nginx is None:
        return []

    def run(peer: Peer) -> Load:
        return contenders.load_by_python(peer, "large", 1)

    return _compare_servers(
        contenders,
        rounds,
        "bulk, the client's side",
        run,
        unit="GB a CPU second",
        take=lambda load: load.count / load.client_cpu / 1e9,
        target=2.5,
        peer_name="asyncio over TLS",
    )


def _measure_memory(contenders: Contenders, rounds: int) -> list[Measured]:
    del rounds
    found: list[Measured] = []
    for peer in filter(None, (contenders.ours, contenders.nginx, contenders.uvicorn)):
        contenders.load_by_python(peer, "small", 1)
        added = contenders.load_by_python(peer, "idle", SESSIONS).details["resident"]
        each = added / SESSIONS / 1024
        target = 20.0 if peer is contenders.ours else None
        found.append(
            Value(f"memory of an idle session, {peer.name}", "KB", "lower", each, each, each, target)
        )
    return found


ROWS: dict[str, Callable[[Contenders, int], list[Measured]]] = {
    "memory": _measure_memory,  # first: what a busy server has freed it does not give back
    "1k": _cached_row("small", 64, 1.0, "1 KB"),
    "1k-alone": _cached_row("small", 1, 1.2, "1 KB"),
    "1k-rate": _equal_rate_row("cached 1 KB, 64 connections", "responses", "--connections", "64"),
    "1k-python": _measure_by_python,
    "1k-uvicorn": _measure_beside_uvicorn,
    "10k": _cached_row("10k", 64, None, "10 KB"),
    "100k": _cached_row("100k", 64, None, "100 KB"),
    "handshakes": _handshake_row("full handshakes", 0.9),
    "handshakes-rate": _equal_rate_row("full handshakes", "handshakes", "--connections", "8", "--handshakes"),
    "handshakes-confirmed": _handshake_row("full handshakes, both paths confirmed", None, "--confirmed", "2"),
    "handshakes-response": _handshake_row("full handshake and one response of 1 KB", None, "--one-response"),
    "connect": _measure_connect,
    "hybrid": _measure_hybrid,
    "bulk": _measure_bulk,
    "download": _measure_download,
}


def main(arguments: list[str]) -> int:
    """Measure the rows that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edge.requests")
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", choices=[*ROWS, []], help=f"of {', '.join(ROWS)} (all)"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="pairs of each row (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each run (%(default)s)")
    options = parser.parse_args(arguments)
    print(f"edge, sennit {describe_machine()['sennit']}", file=sys.stderr)
    measure(options.rows or list(ROWS), options.rounds, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
