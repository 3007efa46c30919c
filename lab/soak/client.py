"""The load, one process on the phone: `python -m lab.soak.client`, a line of JSON a finished request, until SIGTERM.

A request is tried again until it succeeds or its time is up: the sessions of a killed edge are
lost, and clients repeat their requests, as browsers do. Responses are compared by their hash.
"""

import argparse
import asyncio
import hashlib
import itertools
import json
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any

import httpx

from lab.topology import SERVICE_NAME
from smkex.client.http.transport import SmkexTransport
from smkex.client.options import ConnectOptions
from smkex.core.errors import SmkexError
from smkex.core.wire.messages import Mode

PATIENCE = (
    45.0  # seconds until a request is lost: twice what the slowest failure of the lab takes to be got round
)
PAUSE = 0.2  # seconds before another try
FRESH_EVERY = 5  # requests on one pool of sessions, then a new one: handshakes are part of the load


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: its path, the SHA-256 of the whole answer, and how often it comes in a round."""

    name: str
    path: str
    sha256: str
    weight: int


async def _fetch_once(client: httpx.AsyncClient, kind: Kind) -> bool:
    """One try: whether what came is right. Raises what broke it off."""
    digest = hashlib.sha256()
    async with client.stream("GET", f"smkex://{SERVICE_NAME}{kind.path}") as answer:
        answer.raise_for_status()
        async for part in answer.aiter_raw():
            digest.update(part)
    return digest.hexdigest() == kind.sha256


async def _request_kind(client: httpx.AsyncClient, kind: Kind) -> dict[str, Any]:
    started, errors, right = time.monotonic(), [], False
    while not right and time.monotonic() - started < PATIENCE:
        try:
            async with asyncio.timeout(PATIENCE):
                right = await _fetch_once(client, kind)
        except (SmkexError, httpx.HTTPError, OSError, TimeoutError) as error:
            errors.append(f"{type(error).__name__}: {error}"[:120])
            await asyncio.sleep(PAUSE)
            continue
        if not right:
            errors.append("WRONG BYTES")
            break
    seconds = round(time.monotonic() - started, 3)
    return {"kind": kind.name, "ok": right, "seconds": seconds, "errors": errors}


async def _run_worker(
    kinds: list[Kind], options: ConnectOptions, stopped: asyncio.Event, offset: int
) -> None:
    rounds = [kind for kind in kinds for _ in range(kind.weight)]
    turn = itertools.islice(itertools.cycle(rounds), offset, None)
    while not stopped.is_set():
        async with httpx.AsyncClient(transport=SmkexTransport(options), timeout=PATIENCE) as client:
            for _ in range(FRESH_EVERY):
                print(json.dumps(await _request_kind(client, next(turn))), flush=True)


async def _run(kinds: list[Kind], options: ConnectOptions, workers: int) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(_run_worker(kinds, options, stopped, number))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", nargs=4, action="append", metavar=("NAME", "PATH", "SHA256", "WEIGHT"))
    parser.add_argument("--resolver", action="append", default=[], metavar="INTERFACE=ADDRESS")
    parser.add_argument("--workers", type=int, required=True)
    options = parser.parse_args(arguments)
    kinds = [Kind(name, path, sha256, int(weight)) for name, path, sha256, weight in options.kind]
    resolvers = dict(each.split("=", 1) for each in options.resolver)
    connect = ConnectOptions(
        paths=list(resolvers), resolvers=resolvers, mode=Mode.OPPORTUNISTIC, known_hosts=None, timeout=3.0
    )
    asyncio.run(_run(kinds, connect, options.workers))


if __name__ == "__main__":
    main(sys.argv[1:])
