"""10,000 services with 50,000 host names in one edge, beside one service: memory, look-up, and a cached response.

Two edges are loaded over sessions in turn. What 10,000 services add to a hit is measured on the fast path alone, asked
in this process with the bytes of requests for 1,000 of them, and given as a share of what a hit costs an edge.
"""

import asyncio
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.edge.load_generator import build_load_generator, run_load
from benchmarks.edge.peers import Peer, free_ports
from benchmarks.measurement.pairs import from_pairs
from benchmarks.measurement.processors import SERVER_PROCESSOR, pin_process
from benchmarks.measurement.result import Measured, Ratio, Value
from benchmarks.services.processes import SENNIT, running_edge, running_process
from edge.cache.rules.lifetimes import NO_POLICY
from edge.cache.rules.stored_response import StoredResponse
from edge.cache.storage.store import ResponseStore
from edge.proxy.caching_proxy import CachingProxy
from edge.services.catalogue import ServiceCatalogue
from edge.services.directory import ServiceDirectory
from edge.services.preparation import PreparedCatalogue, prepare_catalogue
from edge.services.served_connection import ServedConnection
from node.state.catalogue import SERVICES as SERVICES_FILE
from node.state.table_key import pin_table_key
from services.published import PublishedService, ServiceGeneration
from services.published_file import store_services

SERVICES = 10_000
HOSTNAMES = 5  # of each
ROUNDS = 9
OBJECTS = 1_000
REQUESTS = 20_000  # of each contender in a round
LOOKUPS = 200_000
BODY = bytes(1024)
EDGE_ROUNDS = 7
LOAD_SECONDS = 1.5
TARGET_HIT = 0.97
TARGET_SHARE = 3.0  # per cent
KILOBYTE = 1024.0


def measure() -> list[Measured]:
    """Some fifty seconds."""
    generation = make_generation(SERVICES)
    prepared, memory, seconds = prepare_measured(generation)
    changed = PublishedService.of("s00000", 2, document_of(0), {})
    began = time.process_time()
    prepare_catalogue(
        ServiceGeneration.sign(_signing_key(), 2, [changed, *generation.services[1:]]),
        prepared.catalogue,
        {},
        _no_origins,
    )
    activation = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder:
        served = asyncio.run(measure_edges(Path(folder), generation))
        in_memory = asyncio.run(measure_hits(Path(folder), prepared))
    added = (1 / in_memory.ours - 1 / in_memory.peer) * served.peer
    return [
        served,
        _single_value("what 10,000 services add to a hit", "%", 100 * added, TARGET_SHARE),
        in_memory,
        _single_value("memory of a service with five names", "KB", memory / SERVICES / KILOBYTE),
        _single_value("loading 10,000 services, processor time", "s", seconds),
        _single_value("a generation that changes one of 10,000, processor time", "s", activation),
        measure_lookups(prepared.catalogue),
    ]


def document_of(number: int) -> dict[str, Any]:
    names = [f"host{name}.site{number}.example" for name in range(HOSTNAMES - 1)]
    return {
        "hostnames": [*names, f"*.wild{number}.example"],
        "origins": [{"name": "main", "url": f"http://origin{number}.example"}],
        "cache": [{"path": "/private/*", "bypass": True}, {"path": "/*", "lifetimes": {"default": 60}}],
    }


def make_generation(count: int) -> ServiceGeneration:
    services = (PublishedService.of(f"s{number:05}", 1, document_of(number), {}) for number in range(count))
    return ServiceGeneration.sign(_signing_key(), 1, services)


def prepare_measured(generation: ServiceGeneration) -> tuple[PreparedCatalogue, int, float]:
    """Return a catalogue, the bytes that it takes, and the processor seconds without counting bytes."""
    began = time.process_time()
    prepare_catalogue(generation, ServiceCatalogue.empty(), {}, _no_origins)
    seconds = time.process_time() - began
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    prepared = prepare_catalogue(generation, ServiceCatalogue.empty(), {}, _no_origins)
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return prepared, taken, seconds


def measure_lookups(many: ServiceCatalogue) -> Ratio:
    """Compare the look-up of a service by its names among 50,000 with that among five."""
    one = prepare_catalogue(make_generation(1), ServiceCatalogue.empty(), {}, _no_origins).catalogue

    def look_up(catalogue: ServiceCatalogue, count: int) -> float:
        hosts = [f"host{n % (HOSTNAMES - 1)}.site{n * 7919 % count}.example" for n in range(1000)]
        select = catalogue.select_http
        began = time.process_time()
        for _ in range(LOOKUPS // len(hosts)):
            for host in hosts:
                select(host, host)
        return LOOKUPS / (time.process_time() - began)

    pairs = [(look_up(many, SERVICES), look_up(one, 1)) for _ in range(ROUNDS)]
    return from_pairs(
        "look-up of a service among 10,000", "look-ups/CPU s", "with one service", pairs, better="higher"
    )


async def measure_edges(folder: Path, generation: ServiceGeneration) -> Ratio:
    """Compare the responses of an edge with 10,000 services with those of an edge with one, over sessions."""
    port, log = free_ports(1), folder / "origin.log"
    (folder / "www").mkdir()
    (folder / "www" / "small").write_bytes(BODY)
    asked = {**document_of(0), "hostnames": ["localhost"]}
    asked["origins"] = [{"name": "main", "url": f"http://127.0.0.1:{port}"}]
    local = PublishedService.of("local", 1, asked, {})
    origin = (SENNIT, "origin", "--listen", f"127.0.0.1:{port}", "--directory", str(folder / "www"))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_process(log, *origin, "--max-age", "86400"))
        peers = []
        for name, services in (("many", [local, *generation.services]), ("one", [local])):
            (folder / name).mkdir()
            publish_services(folder / name / "state", services)
            edge = await stack.enter_async_context(running_edge(folder / name))
            pin_process(edge.pid, SERVER_PROCESSOR)
            peers.append(Peer("edge", edge.port, [edge.pid]))
        program = await asyncio.to_thread(build_load_generator, folder)

        async def load_edge(peer: Peer) -> float:
            done = await asyncio.to_thread(
                run_load, program, peer, "--connections", "64", "--target", "/small", seconds=LOAD_SECONDS
            )
            return done.per_cpu_second

        for peer in peers:
            await load_edge(peer)
        rates = [(await load_edge(peers[0]), await load_edge(peers[1])) for _ in range(EDGE_ROUNDS)]
    return from_pairs(
        "cached 1 KB, 64 connections, an edge with 10,000 services",
        "a CPU second",
        "with one service",
        rates,
        better="higher",
        target=TARGET_HIT,
    )


def publish_services(state: Path, services: Iterable[PublishedService]) -> None:
    """Write services.json of generation 1, signed with the key of this benchmark."""
    SERVICES_FILE.create_folder(state)
    pin_table_key(state, _signing_key().public_key().public_bytes_raw())
    store_services(state, ServiceGeneration.sign(_signing_key(), 1, services))


async def measure_hits(folder: Path, prepared: PreparedCatalogue) -> Ratio:
    """Compare cached responses of 1,000 services among 10,000 with as many of an edge with one service."""
    many, alone = ServiceDirectory(_no_origins), ServiceDirectory(_no_origins)
    many.activate(prepared)
    alone.activate(prepare_catalogue(make_generation(1), ServiceCatalogue.empty(), {}, _no_origins))
    spread = [(f"host1.site{n * 7919 % SERVICES}.example", f"/{n}") for n in range(OBJECTS)]
    contenders = (
        await _answer_in_turn(folder / "many", many, spread),
        await _answer_in_turn(folder / "alone", alone, [("host1.site0.example", path) for _, path in spread]),
    )
    for answer_all in contenders:
        answer_all()  # the first time prepares the answers
    rates = [(_rate_of(contenders[0]), _rate_of(contenders[1])) for _ in range(ROUNDS)]
    return from_pairs(
        "fast path alone, cached 1 KB of 1,000 services among 10,000",
        "responses/CPU s",
        "of one service",
        rates,
        better="higher",
    )


async def _answer_in_turn(
    folder: Path, directory: ServiceDirectory, objects: list[tuple[str, str]]
) -> Callable[[], None]:
    """Store an object for each host and path; return what asks for all of them once, each by a session of its own."""
    store = ResponseStore(folder, 1 << 26, 1 << 20)
    proxy = CachingProxy(directory, store, "edge1")
    now, headers = time.time(), [("cache-control", "max-age=86400"), ("content-length", str(len(BODY)))]
    asked: list[tuple[bytes, ServedConnection]] = []
    for host, path in objects:
        key = directory.current.select_http("", host).stored_key(f"{host} {path}")
        await store.insert(
            StoredResponse(key, (), 200, headers, now, now, len(BODY), NO_POLICY, BODY), None, []
        )
        store.load(key)
        connection = ServedConnection(host, "192.0.2.1", "tofu", lambda: True)
        asked.append((f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), connection))
    answer = proxy.fast_path.answer

    def answer_all() -> None:
        for request, connection in asked:
            if answer(request, connection) is None:
                raise RuntimeError(f"the fast path does not answer {request!r}")

    return answer_all


def _rate_of(answer_all: Callable[[], None]) -> float:
    began = time.process_time()
    for _ in range(REQUESTS // OBJECTS):
        answer_all()
    return REQUESTS / (time.process_time() - began)


def _single_value(name: str, unit: str, value: float, target: float | None = None) -> Value:
    return Value(name, unit, "lower", value, value, value, target)


def _no_origins(service: object) -> Any:
    raise RuntimeError("no origin is asked")


def _signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(32))
