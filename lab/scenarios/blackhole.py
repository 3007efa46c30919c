"""The first path goes dark in the middle of a download: packets vanish, and nothing says so.

What was on its way goes out again on the other path after at most min(2 round trips, 1 s), and the path is used no
more until it answers again.
"""

from lab.running import Lab, run_network_command
from lab.sample import SAMPLE_BYTES
from lab.scenarios.download import RunningDownload, download_sample, first_carrier, sample_digest
from lab.scenarios.verdict import Verdict

LONG = 6.0  # seconds that the running download is made to take
STALL_LIMIT = 2.0  # seconds longer that it may take


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` when the running download breaks."""
    wanted = sample_digest(lab)
    address = str(lab.topology.ends("phone")[0][0].address.ip)
    carrier = first_carrier(lab)
    options = ("--limit-rate", str(int(SAMPLE_BYTES / LONG)))
    usual = download_sample(lab, *options).seconds
    long = RunningDownload(lab, *options)
    try:
        long.wait_until_set_up()
        run_network_command(lab, carrier, "ip", "route", "add", "blackhole", f"{address}/32")
        ended = long.result(timeout=6 * LONG)
    finally:
        long.stop()
        run_network_command(lab, carrier, "ip", "route", "del", "blackhole", f"{address}/32")
    verdict.note("a download usually takes", usual, "s")
    verdict.equal(
        f"{carrier} swallows path 0: SHA-256 is the origin's", str(ended.sha256 == wanted).lower(), "true"
    )
    verdict.within("  it took longer by", ended.seconds - usual, STALL_LIMIT, "s")
    first = ended.report["paths"][0]["state"]
    verdict.equal("  path 0 was found out", str(first != "open").lower(), "true")
    verdict.note("  path 0 at the end", first)
    verdict.equal(
        "afterwards: downgrades", ", ".join(download_sample(lab).report["downgrades"]) or "none", "none"
    )
