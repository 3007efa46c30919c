"""The benchmarks' load generator in C speaks both protocols with real servers, and notices a flipped byte."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from relays import Relay

from benchmarks.edge.load_generator import LoadFailed, build_load_generator, run_load
from benchmarks.edge.peers import Peer, make_certificate, running_caching_edge, running_tls_origin

REQUESTS = 200
# more than the first epoch of 16 MiB, and whole only if the next one's keys follow
LARGE = 40 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("load")
    make_certificate(made)
    (made / "www").mkdir()
    (made / "www" / "small").write_bytes(bytes(1024))
    with (made / "www" / "large").open("wb") as file:
        file.truncate(LARGE)
    return made


@pytest.fixture(scope="module")
def program(folder: Path) -> Path:
    return build_load_generator(folder)


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[dict[str, Peer]]:
    with ExitStack() as stack:
        edge = stack.enter_context(running_caching_edge(folder))
        origin = stack.enter_context(running_tls_origin(folder))
        yield {"session": edge, "tls": origin}


@pytest.mark.parametrize("protocol", ["session", "tls"])
def test_200_requests_are_answered_without_an_error(
    program: Path, servers: dict[str, Peer], protocol: str
) -> None:
    done = run_load(
        program, servers[protocol], "--connections", "8", "--most", str(REQUESTS), seconds=60
    ).details
    assert REQUESTS <= done["responses"] < REQUESTS + 8
    assert done["bytes"] >= REQUESTS * 1024
    assert done["errors"] == 0
    if protocol == "session":
        assert sum(done["records"]) >= REQUESTS


@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        ("tls", ()),
        ("tls", ("--one-response",)),
        ("session", ()),
        ("session", ("--confirmed", "2")),
        ("session", ("--one-response", "--confirmed", "1")),
    ],
    ids=" ".join,
)
def test_handshakes_are_made_again_and_again(
    program: Path, servers: dict[str, Peer], protocol: str, options: tuple[str, ...]
) -> None:
    every = "--handshakes", "--most", "20", "--connections", "2", *options
    done = run_load(program, servers[protocol], *every, count="handshakes", seconds=60)
    assert 20 <= done.count <= 21
    assert done.details["responses"] >= (20 if "--one-response" in options else 0)


@pytest.mark.parametrize("what", ["responses", "handshakes"])
def test_a_fixed_rate_is_not_exceeded(program: Path, servers: dict[str, Peer], what: str) -> None:
    options = "--connections", "8", "--rate", "100", "--most", "50"
    handshakes = ["--handshakes"] if what == "handshakes" else []
    done = run_load(program, servers["session"], *options, *handshakes, count=what, seconds=60)
    assert 50 <= done.count < 58
    assert done.seconds >= 49 / 100


@pytest.mark.parametrize("protocol", ["session", "tls"])
def test_a_large_object_arrives_whole(program: Path, servers: dict[str, Peer], protocol: str) -> None:
    done = run_load(
        program, servers[protocol], "--target", "/large", "--most", "1", count="bytes", seconds=60
    )
    assert done.count >= LARGE


@pytest.mark.parametrize(
    ("protocol", "words"),
    [("session", r"wrong tag"), ("tls", r"decryption failed or bad record mac")],
)
async def test_a_flipped_byte_is_an_error(
    program: Path, servers: dict[str, Peer], protocol: str, words: str
) -> None:
    server = servers[protocol]
    relays = Relay(server.port), Relay(server.port + 1)  # service port, and locator of edge 1
    for relay in relays:
        relay.flip_after = 20_000  # bytes towards the client: some responses
    ports = [await relay.start() for relay in relays]
    options = "--locator-base", str(ports[1] - 1), "--most", str(REQUESTS)
    with pytest.raises(LoadFailed, match=words):
        await asyncio.to_thread(run_load, program, replace(server, port=ports[0]), *options, seconds=60)
    for relay in relays:
        relay.stop()


def test_a_refused_connection_is_an_error(program: Path) -> None:
    with pytest.raises(LoadFailed, match="handshake failed"):
        run_load(program, Peer("nginx", 1, []), seconds=60)


def test_the_exit_status_says_that_something_went_wrong(program: Path) -> None:
    done = subprocess.run([program, "tls", "1"], input="\n", capture_output=True, text=True)
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["errors"] == 1
    assert subprocess.run([program, "quic"], capture_output=True).returncode == 2
