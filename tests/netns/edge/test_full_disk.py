"""A cache on a real disk that is full: a small tmpfs in a mount namespace of the edge's own."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("root")

PROGRAM = """
import asyncio, logging, sys
from pathlib import Path
sys.path[:0] = ["tests/support"]
from cdn import cdn

async def main():
    async with cdn(Path(sys.argv[1]), limit=1 << 30, object_limit=1 << 29) as it:
        it.origin.headers = [("cache-control", "max-age=60")]
        for n in range(40):
            it.origin.parts = [bytes([n]) * 100_000] * (1 + n % 4 * 6)
            if n % 4 == 0:
                it.origin.parts = [bytes([n]) * 20_000]
            answer = await it.get(f"/{n}")
            assert answer.content == b"".join(it.origin.parts), n
            await it.settled()
        hits = 0
        for n in range(40):
            it.origin.parts = [bytes([n]) * 100_000] * (1 + n % 4 * 6)
            if n % 4 == 0:
                it.origin.parts = [bytes([n]) * 20_000]
            answer = await it.get(f"/{n}")
            assert answer.content == b"".join(it.origin.parts), n
            hits += "hit" in answer.headers["cache-status"]
            await it.settled()
        print(hits)

logging.basicConfig()
asyncio.run(main())
"""


async def test_what_does_not_fit_on_the_disk_is_delivered_and_what_fitted_is_kept(tmp_path: Path) -> None:
    mounted = f"mount -t tmpfs -o size=4m tmpfs {tmp_path} && exec {sys.executable} - {tmp_path}"
    done = await asyncio.to_thread(
        subprocess.run,
        ["unshare", "--mount", "sh", "-c", mounted],
        input=PROGRAM,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "No space left" in done.stderr or "disk is full" in done.stderr
    assert 0 < int(done.stdout) < 40
