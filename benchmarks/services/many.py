"""10,000 services with 50,000 host names in one edge, beside one service: memory, look-up, and a cached response.

No sockets: the cost of a cached response is that of the fast path, which is asked with the bytes of a request.
Contenders take turns in one process, on processor time.
"""

import asyncio
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.measurement.pairs import from_pairs
from benchmarks.measurement.result import Measured, Value
from edge.cache.rules.lifetimes import NO_POLICY
from edge.cache.rules.stored_response import StoredResponse
from edge.cache.storage.store import ResponseStore
from edge.origins.assembly import single_origin
from edge.proxy.caching_proxy import CachingProxy
from edge.services.catalogue import ServiceCatalogue
from edge.services.directory import ServiceDirectory
from edge.services.preparation import PreparedCatalogue, prepare_catalogue
from edge.services.served_connection import ServedConnection
from services.published import PublishedService, ServiceGeneration

SERVICES = 10_000
HOSTNAMES = 5  # of each
ROUNDS = 15
REQUESTS = 20_000
LOOKUPS = 200_000
BODY = bytes(1024)
TARGET_HIT = 0.97
KILOBYTE = 1024.0


def measure() -> list[Measured]:
    """About half a minute."""
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
        hits = asyncio.run(measure_hits(Path(folder), prepared))
    return [
        _single_value("memory of a service with five names", "KB", memory / SERVICES / KILOBYTE),
        _single_value("loading 10,000 services, processor time", "s", seconds),
        _single_value("a generation that changes one of 10,000, processor time", "s", activation),
        measure_lookups(prepared.catalogue),
        hits,
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


def measure_lookups(many: ServiceCatalogue) -> Measured:
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


async def measure_hits(folder: Path, prepared: PreparedCatalogue) -> Measured:
    """Compare cached responses of one service among 10,000 with those of `--upstream`."""
    many = ServiceDirectory(_no_origins)
    many.activate(prepared)
    alone = ServiceDirectory(lambda service: single_origin("http://127.0.0.1:1", "edge1"))
    alone.use_default_service()
    host = f"host1.site{SERVICES // 2}.example"
    answers: list[Callable[[], list[bytes] | None]] = []
    for name, directory in (("many", many), ("alone", alone)):
        store = ResponseStore(folder / name, 1 << 24, 1 << 20)
        proxy = CachingProxy(directory, store, "edge1")
        service = directory.current.select_http("", host)
        key = service.stored_key(f"{host} /a")
        now = time.time()
        headers = [("cache-control", "max-age=86400"), ("content-length", str(len(BODY)))]
        entry = StoredResponse(key, (), 200, headers, now, now, len(BODY), NO_POLICY, BODY)
        await store.insert(entry, None, [])
        store.load(key)
        answers.append(_repeat_request(proxy, f"GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), host))
    rates = [(_rate_of(answers[0]), _rate_of(answers[1])) for _ in range(ROUNDS)]
    return from_pairs(
        "cached 1 KB, 10,000 services",
        "responses/CPU s",
        "--upstream",
        rates,
        better="higher",
        target=TARGET_HIT,
    )


def _repeat_request(proxy: CachingProxy, request: bytes, host: str) -> Callable[[], list[bytes] | None]:
    connection = ServedConnection(host, "192.0.2.1", "tofu", lambda: True)
    return lambda: proxy.fast_path.answer(request, connection)


def _rate_of(answer: Callable[[], list[bytes] | None]) -> float:
    if answer() is None:
        raise RuntimeError("the fast path does not answer")
    began = time.process_time()
    for _ in range(REQUESTS):
        answer()
    return REQUESTS / (time.process_time() - began)


def _single_value(name: str, unit: str, value: float) -> Value:
    return Value(name, unit, "lower", value, value, value)


def _no_origins(service: object) -> Any:
    raise RuntimeError("no origin is asked")


def _signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(32))
