"""The control plane dies for longer than its leases, and comes back: downloads notice neither.

Edges and forwarders continue without an answer; after its start nothing expires before every edge had time to report.
"""

import time

from lab.running import Lab
from lab.scenarios.download import (
    SteadyDownloads,
    download_sample,
    id_of,
    nearest_to_first_path,
    sample_digest,
)
from lab.scenarios.verdict import Verdict

AWAY = 12.0  # seconds: a lease, and some
AFTER = 4.0  # seconds of looking when it is back


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` when the control plane does not come back."""
    wanted = sample_digest(lab)
    edge = nearest_to_first_path(lab)
    verdict.equal("owner edge before", download_sample(lab).owner, id_of(edge))
    with SteadyDownloads(lab) as steady:
        lab.stop_control()
        try:
            _let_downloads_run(steady, AWAY)
        finally:
            started = time.monotonic()
            lab.start_control()
        verdict.note("control plane away for", AWAY, "s")
        verdict.note("back and answering after", time.monotonic() - started, "s")
        _let_downloads_run(steady, AFTER)
    verdict.at_least("downloads meanwhile", len(steady.done), 3)
    verdict.equal("  that failed", len(steady.failed), 0)
    verdict.equal("  with another content", sum(one.sha256 != wanted for one in steady.done), 0)
    verdict.equal("  by another owner", sum(one.owner != id_of(edge) for one in steady.done), 0)
    verdict.equal("  with any downgrade", sum(bool(one.report["downgrades"]) for one in steady.done), 0)


def _let_downloads_run(steady: SteadyDownloads, seconds: float) -> None:
    """Let downloads go on for so long."""
    until, before = time.monotonic() + seconds, len(steady.done)
    while time.monotonic() < until or len(steady.done) == before:
        if steady.failed or time.monotonic() > until + 30:
            return
        time.sleep(0.05)
