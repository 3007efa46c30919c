"""A short attack of every kind of hostile client: the edge stays within its memory, and serves the honest."""

import asyncio
import hashlib
import os
from pathlib import Path

from edge_memory import peak_memory
from edge_process import edge_process, origin
from hostile_clients import HOSTILE, download_honestly, under_attack

LIMIT = 200_000_000
BODY = 8 << 20
DOWNLOADS = 6
EACH = 2


async def test_honest_clients_are_served_beside_every_kind_of_hostile_ones(tmp_path: Path) -> None:
    body = os.urandom(BODY)
    wanted = hashlib.sha256(body).hexdigest()
    async with (
        origin(body) as (upstream, _),
        edge_process(tmp_path, "--upstream", upstream, "--max-memory-bytes", str(LIMIT)) as edge,
    ):
        await download_honestly(edge, wanted)
        async with under_attack(edge, EACH) as attack:
            while len(attack.rounds) < len(HOSTILE):
                await download_honestly(edge, wanted)
            for _ in range(DOWNLOADS):
                await download_honestly(edge, wanted)
        await download_honestly(edge, wanted)
        assert peak_memory(edge.process.pid) < LIMIT
        async with asyncio.timeout(60):
            while (await edge.health())["status"] != "ok":
                await asyncio.sleep(0.05)
        assert "Traceback" not in edge.log.read_text()
