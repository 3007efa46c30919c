"""A soak: hostile clients of every kind for minutes, honest ones beside them, and the edge's memory."""

import asyncio
import hashlib
import os
import time
from pathlib import Path

import pytest
from edge_memory import peak_memory
from edge_process import edge_process, origin
from hostile_clients import HOSTILE, download_honestly, under_attack

LIMIT = 256_000_000
BODY = 24 << 20
EACH = 8
SECONDS = 180.0
ROUNDS = 20  # of each kind at least


@pytest.mark.timeout(600)
async def test_memory_and_honest_clients_survive_minutes_of_hostile_ones(tmp_path: Path) -> None:
    body = os.urandom(BODY)
    wanted = hashlib.sha256(body).hexdigest()
    async with (
        origin(body) as (upstream, _),
        edge_process(tmp_path, "--upstream", upstream, "--max-memory-bytes", str(LIMIT)) as edge,
    ):
        await download_honestly(edge, wanted)
        served, until = 0, time.monotonic() + SECONDS
        async with under_attack(edge, EACH) as attack:
            while time.monotonic() < until or min(attack.rounds[kind.__name__] for kind in HOSTILE) < ROUNDS:
                await download_honestly(edge, wanted)
                served += 1
                assert peak_memory(edge.process.pid) < LIMIT
        print(
            f"{served} honest downloads, peak {peak_memory(edge.process.pid):,} bytes, {dict(attack.rounds)}"
        )
        assert served >= 3, "each within its time limit, however busy the machine"
        async with asyncio.timeout(60):
            while (await edge.health())["status"] != "ok":
                await asyncio.sleep(0.1)
        await download_honestly(edge, wanted)
        assert "Traceback" not in edge.log.read_text()
