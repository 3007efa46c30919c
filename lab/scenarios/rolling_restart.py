"""Every edge's server is restarted in turn, as for a new version: drain, restart, undrain. No download fails."""

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

RESTARTED: int | None = None  # how many edges; all
PATIENCE = 15  # seconds that a client tries again while an edge refuses or is being withdrawn


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` when an edge does not come back."""
    wanted = sample_digest(lab)
    edge = nearest_to_first_path(lab)
    verdict.equal("owner edge before", download_sample(lab).owner, id_of(edge))
    with SteadyDownloads(lab, "--retry-for", str(PATIENCE)) as steady:
        for one in lab.topology.edges()[:RESTARTED]:
            started = time.monotonic()
            lab.operate("edges", "drain", one.name, "--wait")
            lab.kill_server(one)
            lab.start_server_quietly(one)
            lab.operate("edges", "undrain", one.name)
            lab.wait_until_announced(one)
            verdict.note(f"{one.name} drained, restarted and back in", time.monotonic() - started, "s")
    verdict.at_least("downloads meanwhile", len(steady.done), 3)
    verdict.equal("  that failed", len(steady.failed), 0)
    verdict.equal("  with another content", sum(done.sha256 != wanted for done in steady.done), 0)
    verdict.equal("  with any downgrade", sum(bool(done.report["downgrades"]) for done in steady.done), 0)
    verdict.note("  owners", ", ".join(str(owner) for owner in sorted({done.owner for done in steady.done})))
    verdict.note("  the slowest took", max((done.seconds for done in steady.done), default=0.0), "s")
    verdict.equal("owner edge afterwards", download_sample(lab).owner, id_of(edge))
