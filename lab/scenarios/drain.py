"""The edge of the first path is drained under a running download: that one ends well, new ones go elsewhere."""

import time

from lab.running import Lab
from lab.sample import SAMPLE_BYTES
from lab.scenarios.download import (
    RunningDownload,
    download_sample,
    first_success,
    nearest_to_first_path,
    sample_digest,
)
from lab.scenarios.verdict import Verdict

LONG = 10.0  # seconds that the running download is made to take
MOVED_LIMIT = 8.0  # three of them for sessions to leave the service port


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` when the running download breaks, or no new one succeeds."""
    wanted = sample_digest(lab)
    edge = nearest_to_first_path(lab)
    assert edge.edge_id is not None
    long = RunningDownload(lab, "--limit-rate", str(int(SAMPLE_BYTES / LONG)))
    first = download_sample(lab)
    verdict.equal("owner edge before", first.owner, edge.edge_id)
    started = time.monotonic()
    lab.operate("edges", "drain", edge.name)
    try:
        done = first
        while done.owner == edge.edge_id and time.monotonic() - started < 3 * MOVED_LIMIT:
            seconds, done = first_success(lab, started, MOVED_LIMIT)
        verdict.equal("new downloads go to another edge", str(done.owner != edge.edge_id).lower(), "true")
        verdict.note("owner edge while it drains", done.owner)
        verdict.within("from the drain to a finished download there", seconds, MOVED_LIMIT, "s")
        verdict.equal("the long download runs on meanwhile", str(long.running).lower(), "true")
        ended = long.result(timeout=6 * LONG)
        verdict.equal("the long download's owner", ended.owner, edge.edge_id)
        verdict.equal(
            "the long download's SHA-256 is the origin's", str(ended.sha256 == wanted).lower(), "true"
        )
        verdict.note("the long download took", ended.seconds, "s")
        states = [path["state"] for path in ended.report["paths"]]
        broken = sum(state.startswith(("dropped", "closed", "stalled")) for state in states)
        verdict.equal("its paths that broke, rather than moved", broken, 0)
        verdict.equal("its first path left the service port", str("removed" in states).lower(), "true")
    finally:
        lab.operate("edges", "undrain", edge.name)
        lab.wait_until_announced(edge)
    verdict.equal("owner edge afterwards", download_sample(lab).owner, edge.edge_id)
