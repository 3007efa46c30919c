"""A file over two paths, by every transport: whole, from the nearest edge, the second path through another one."""

from lab.running import Lab
from lab.scenarios.download import download_sample, nearest_to_first_path, sample_digest
from lab.scenarios.verdict import Verdict


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` when a download fails."""
    wanted = sample_digest(lab)
    owner = nearest_to_first_path(lab).edge_id
    entries = ", ".join(
        str(lab.topology.nearest_edge(other.node).edge_id) for _, other, _ in lab.topology.ends("phone")
    )
    assert owner is not None
    for transport in lab.transports:
        done = download_sample(lab, "--transport", transport)
        verdict.equal(f"{transport}: SHA-256 is the origin's", str(done.sha256 == wanted).lower(), "true")
        verdict.equal(f"{transport}: owner edge", done.owner, owner)
        verdict.equal(f"{transport}: paths enter at edges", done.ingress, entries)
        verdict.equal(f"{transport}: downgrades", ", ".join(done.report["downgrades"]) or "none", "none")
        verdict.note(f"{transport}: set up in", done.report["setup"] * 1000, "ms")
        verdict.note(f"{transport}: rate", done.bytes * 8 / done.seconds / 1e6, "Mbit/s")
