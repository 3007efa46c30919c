"""Path 0's carrier moves to another edge in the middle of a download, by BGP preference, and back.

The service port leads elsewhere then, and the other edge knows nothing of the connection: what is left of path 0 dies.
The session must not: it goes on over path 1, and a fresh path leads to the owner's locator, which every edge forwards.
"""

import time

from lab.running import Lab
from lab.sample import SAMPLE_BYTES
from lab.scenarios.download import (
    RunningDownload,
    download_sample,
    first_carrier,
    first_success,
    id_of,
    nearest_to_first_path,
    sample_digest,
)
from lab.scenarios.verdict import Verdict

LONG = 8.0  # seconds that the running download is made to take
MOVED_LIMIT = 8.0


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` when the running download breaks, or no new one succeeds."""
    wanted = sample_digest(lab)
    edge = nearest_to_first_path(lab)
    carrier = first_carrier(lab)
    neighbours = [far.node for _, far, bgp in lab.topology.ends(carrier) if bgp]
    other = next(name for name in neighbours if name != edge.name)
    verdict.equal("owner edge before", download_sample(lab).owner, id_of(edge))
    long = RunningDownload(lab, "--limit-rate", str(int(SAMPLE_BYTES / LONG)))
    long.wait_until_set_up()
    started = time.monotonic()
    lab.prefer(carrier, other)
    try:
        seconds, moved = first_success(lab, started, 6 * MOVED_LIMIT)
        while moved.owner == id_of(edge) and time.monotonic() - started < MOVED_LIMIT:
            seconds, moved = first_success(lab, started, MOVED_LIMIT)  # quicker than BGP
        verdict.note(f"{carrier} prefers {other}: owner of a new download", moved.owner)
        verdict.equal("  which is another edge", str(moved.owner != id_of(edge)).lower(), "true")
        verdict.within("  from the change to its end", seconds, MOVED_LIMIT, "s")
        verdict.equal("the long download runs on meanwhile", str(long.running).lower(), "true")
        ended = long.result(timeout=8 * LONG)
        verdict.equal("  its SHA-256 is the origin's", str(ended.sha256 == wanted).lower(), "true")
        verdict.equal("  its owner", ended.owner, id_of(edge))
        verdict.within("  it took", ended.seconds, 2 * LONG, "s")
        entered = {path["ingress_id"] for path in ended.report["paths"] if path["state"] == "open"}
        verdict.equal("  open paths at its end", len(entered), 2)
        verdict.equal("  one enters at the other edge now", str(moved.owner in entered).lower(), "true")
    finally:
        lab.prefer(carrier, None)
        lab.wait_until_announced(edge)
    verdict.equal("owner edge afterwards", download_sample(lab).owner, id_of(edge))
