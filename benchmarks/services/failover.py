"""Origin failover: what clients see when one of two origins dies, or answers no more, under load.

Edge, origins and clients are processes on loopback; the clients are sessions that ask without a pause, for what is not
cached. An error is a response of 5xx. "Until no client sees an error" is from the signal to the end of the last such
response.
"""

import asyncio
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.edge.peers import free_ports
from benchmarks.measurement.result import Measured, Value
from benchmarks.services.processes import RunningEdge, running_edge, running_process
from node.state.catalogue import SERVICES
from node.state.table_key import pin_table_key
from services.published import PublishedService, ServiceGeneration
from services.published_file import store_services
from smkex.client import connect
from smkex.client.connection import Connection
from smkex.client.options import ConnectOptions

CLIENTS = 8
ROUNDS = 3
REQUESTS = 100  # before the signal, and at the end, at least
HOST = "shop.example"
RESPONSE_TIMEOUT = 1.0  # seconds; the default is 30
EJECTION = {"failures": 3, "seconds": 1.0}
ORIGIN = sys.executable, "-m", "benchmarks.services.small_origin"
AFTER_SECONDS = 2.5  # of load after the signal: the first ejection, and the first request that tries again


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: when it began and ended (monotonic seconds), and its status."""

    began: float
    ended: float
    status: int


@dataclass
class ContinuousLoad:
    """Clients of an edge that ask again and again; `origins` are the bodies that they got."""

    method: str
    answers: list[Answered] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def run_client(self, edge: RunningEdge, number: int) -> None:
        """Ask until cancelled."""
        connection = await open_session(edge)
        request = (
            f"{self.method} /page?{number} HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 0\r\n\r\n".encode()
        )
        try:
            while True:
                began = time.monotonic()
                connection.writer.write(request)
                head = await connection.reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bodies.append(await connection.reader.readexactly(length))
                self.answers.append(Answered(began, time.monotonic(), int(head.split(b" ")[1])))
        finally:
            await connection.close()

    async def wait_for_both(self) -> None:
        """Wait until each origin has answered."""
        async with asyncio.timeout(60):
            while len(set(self.bodies)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def wait_for_more(self) -> None:
        """Wait for `REQUESTS` more responses."""
        wanted = len(self.answers) + REQUESTS
        async with asyncio.timeout(60):
            while len(self.answers) < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


def measure(rounds: int = ROUNDS) -> list[Measured]:
    """Some fifty-five seconds."""
    return asyncio.run(_measure_all(rounds))


async def _measure_all(rounds: int) -> list[Measured]:
    killed = [await measure_failure("GET", signal.SIGKILL) for _ in range(rounds)]
    hung = [await measure_failure("GET", signal.SIGSTOP) for _ in range(rounds)]
    posted = [await measure_failure("POST", signal.SIGKILL) for _ in range(rounds)]
    return [
        *_make_results("GET, an origin is killed", killed, target=0.0),
        *_make_results("GET, an origin hangs, response_timeout 1 s", hung, target=0.0),
        *_make_results("POST, an origin is killed", posted, target=None),
    ]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the clients saw of one failure, in seconds but for `errors`."""

    errors: int
    until: float
    longest: float
    usual: float


async def measure_failure(method: str, number: signal.Signals) -> Seen:
    """Send a signal to one of two origins under load, and look at every request from then on."""
    with tempfile.TemporaryDirectory() as name:
        async with two_origins(Path(name)) as (edge, victim):
            load = ContinuousLoad(method)
            clients = [asyncio.create_task(load.run_client(edge, each)) for each in range(CLIENTS)]
            await load.wait_for_both()
            load.answers.clear()
            await load.wait_for_more()
            victim.send_signal(number)
            at = time.monotonic()
            await asyncio.sleep(AFTER_SECONDS)
            await load.wait_for_more()
            ended = [each for each in clients if each.done()]
            for client in clients:
                client.cancel()
            outcome = await asyncio.gather(*clients, return_exceptions=True)
            if ended:
                raise RuntimeError(f"a client ended: {outcome}")
        return _judge_answers(load.answers, at)


def _judge_answers(answers: list[Answered], at: float) -> Seen:
    usual = statistics.median(each.ended - each.began for each in answers if each.ended < at)
    after = [each for each in answers if each.ended >= at]
    failed = [each.ended - at for each in after if each.status >= 500]
    longest = max(each.ended - each.began for each in after)
    return Seen(len(failed), max(failed, default=0.0), longest, usual)


def _make_results(title: str, seen: list[Seen], target: float | None) -> list[Measured]:
    errors = float(sum(each.errors for each in seen))
    return [
        Value(
            f"{title}: errors that {CLIENTS} clients see", "errors", "lower", errors, errors, errors, target
        ),
        _value_of(f"{title}: until no client sees an error", "s", [each.until for each in seen], target),
        _value_of(f"{title}: longest request", "ms", [each.longest * 1000 for each in seen]),
        _value_of(f"{title}: median request before", "ms", [each.usual * 1000 for each in seen]),
    ]


def _value_of(name: str, unit: str, figures: list[float], target: float | None = None) -> Value:
    low, middle, high = statistics.quantiles(figures, n=4) if len(figures) > 1 else figures * 3
    return Value(name, unit, "lower", middle, low, high, target)


@asynccontextmanager
async def two_origins(folder: Path) -> AsyncIterator[tuple[RunningEdge, asyncio.subprocess.Process]]:
    """Run an edge in front of two origins; the process is that of the first."""
    first = free_ports(2)
    second = first + 1
    publish_service(folder / "state", first, second)
    async with (
        running_process(folder / "first.log", *ORIGIN, str(first)) as victim,
        running_process(folder / "second.log", *ORIGIN, str(second)),
        running_edge(folder) as edge,
    ):
        yield edge, victim


def publish_service(state: Path, *ports: int) -> None:
    """Publish a service in front of the origins at these ports."""
    origins = [
        {
            "name": f"o{port}",
            "url": f"http://127.0.0.1:{port}",
            "response_timeout": RESPONSE_TIMEOUT,
            "ejection": EJECTION,
        }
        for port in ports
    ]
    document = {"hostnames": [HOST], "origins": origins, "cache": [{"bypass": True}]}
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    SERVICES.create_folder(state)
    pin_table_key(state, key.public_key().public_bytes_raw())
    store_services(state, ServiceGeneration.sign(key, 1, [PublishedService.of("shop", 1, document, {})]))


async def open_session(edge: RunningEdge) -> Connection:
    """Open a session with both subflows over loopback."""
    options = ConnectOptions(paths=["lo"], id_port_base=edge.port, allow_shared_path=True, known_hosts=None)
    return await connect("127.0.0.1", port=edge.port, options=options)
