"""The edge of the first path fails, twice: its server is killed, then its whole host is lost.

New downloads must go to the next edge, and come back when the edge does.
"""

import time

from lab.running import Lab
from lab.scenarios.download import (
    DownloadOutcome,
    download_sample,
    first_success,
    nearest_to_first_path,
    sample_digest,
)
from lab.scenarios.verdict import Verdict
from lab.topology import LabNode

PATIENCE = 60.0  # seconds to wait for a success before the scenario fails
SERVER_LIMIT = 5.0  # the agent looks once a second, BGP takes milliseconds, the client starts in one
HOST_LIMIT = 15.0  # BGP's hold time is 9 s where the cable does not tell


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` when no download succeeds at all."""
    wanted = sample_digest(lab)
    edge = nearest_to_first_path(lab)
    verdict.equal("owner edge before", download_sample(lab).owner, _edge_id(edge))

    started = time.monotonic()
    lab.kill_server(edge)
    try:
        seconds, done = first_success(lab, started, PATIENCE)
        _check_download(verdict, f"{edge.name}'s server killed", done, wanted, edge)
        verdict.within("  from the kill to a finished download", seconds, SERVER_LIMIT, "s")
    finally:
        lab.start_server(edge)
    verdict.equal("  owner edge when it is back", download_sample(lab).owner, _edge_id(edge))

    started = time.monotonic()
    lab.lose(edge)
    try:
        seconds, done = first_success(lab, started, PATIENCE)
        _check_download(verdict, f"{edge.name}'s host lost", done, wanted, edge)
        verdict.within("  from the loss to a finished download", seconds, HOST_LIMIT, "s")
    finally:
        lab.restore(edge)
    verdict.equal("  owner edge when it is back", download_sample(lab).owner, _edge_id(edge))


def _check_download(verdict: Verdict, what: str, done: DownloadOutcome, wanted: str, lost: LabNode) -> None:
    verdict.equal(f"{what}: SHA-256 is the origin's", str(done.sha256 == wanted).lower(), "true")
    verdict.equal("  owner is another edge", str(done.owner != lost.edge_id).lower(), "true")
    verdict.note("  owner edge", done.owner)


def _edge_id(edge: LabNode) -> int:
    assert edge.edge_id is not None
    return edge.edge_id
