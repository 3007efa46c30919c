"""The owner is flooded with key exchanges that never end, from one network beside the phone's.

That network gets as many as the edge allows one to have, and is refused the others. What runs is not disturbed, a new
download gets through at once, and memory stays bounded.
"""

import json
import subprocess
import time

from lab.errors import LabFailed
from lab.running import Lab
from lab.sample import SAMPLE_BYTES
from lab.scenarios.download import (
    RunningDownload,
    first_carrier,
    first_success,
    id_of,
    nearest_to_first_path,
    sample_digest,
)
from lab.scenarios.verdict import Verdict
from lab.topology import VIP
from lab.wait import wait_for

LONG = 10.0  # seconds that the running download is made to take
FLOOD = 3000  # connections at a time: many times what an edge allows one network (max_handshakes_per_prefix)
SERVICE_PORT = 443
MEMORY_LIMIT = 64.0  # MB, of thousands of connections that come and go
THROUGH_LIMIT = 15.0  # seconds: one or two, but the flood shares the processors


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` when the running download breaks, or no new one gets through."""
    wanted = sample_digest(lab)
    edge = nearest_to_first_path(lab)
    long = RunningDownload(lab, "--limit-rate", str(int(SAMPLE_BYTES / LONG)))
    long.wait_until_set_up()
    before = lab.memory(edge)
    flood = subprocess.Popen(
        lab.command(
            first_carrier(lab), "python", "-m", "lab.scenarios.flood", VIP, str(SERVICE_PORT), str(FLOOD)
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        counts = _until_refused(flood)
        verdict.note("key exchanges begun and never ended", counts["begun"])
        verdict.at_least("  refused beyond the limit", counts["refused"], 1)
        started = time.monotonic()
        seconds, through = first_success(lab, started, 2 * THROUGH_LIMIT)
        verdict.within("a new download gets through in", seconds, THROUGH_LIMIT, "s")
        verdict.note("  its owner", through.owner)
        ended = long.result(timeout=8 * LONG)
        verdict.within(
            "memory of the edge's server grew by", (lab.memory(edge) - before) / 1e6, MEMORY_LIMIT, "MB"
        )
    finally:
        flood.communicate()  # the end of its input ends it, in a container as well
        long.stop()
    verdict.equal(
        "the download of before: SHA-256 is the origin's", str(ended.sha256 == wanted).lower(), "true"
    )
    verdict.equal("  its owner", ended.owner, id_of(edge))
    verdict.within("  it took", ended.seconds, 3 * LONG, "s")
    lab.wait_until_announced(edge)
    _, afterwards = first_success(lab, time.monotonic(), THROUGH_LIMIT)
    verdict.equal("owner edge afterwards", afterwards.owner, id_of(edge))


def _until_refused(flood: "subprocess.Popen[str]") -> dict[str, int]:
    """Wait until the edge's limit is reached. Raises `LabFailed`."""
    assert flood.stdout is not None
    counts: dict[str, int] = {}

    def refused() -> bool:
        assert flood.stdout is not None
        line = flood.stdout.readline()
        if not line:
            raise LabFailed("the flood ended by itself")
        counts.update(json.loads(line))
        return counts["refused"] > 0

    wait_for(f"a refusal by the edge, after {FLOOD} key exchanges begun", refused, 60)
    return counts
