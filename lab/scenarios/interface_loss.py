"""The phone loses the interface of its first path in the middle of a download, out of reach, and gets it back.

The session goes on over the other. A new download does not begin over one path alone, and says why.
"""

import time

from lab.errors import LabFailed
from lab.ipv6 import gateways_v6
from lab.running import Lab, run_network_command
from lab.sample import SAMPLE_BYTES
from lab.scenarios.download import RunningDownload, download_sample, first_success, sample_digest
from lab.scenarios.verdict import Verdict

LONG = 6.0  # seconds that the running download is made to take
BACK_LIMIT = 10.0


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` when the running download breaks."""
    wanted = sample_digest(lab)
    (route, gateway), *_ = lab.topology.gateways("phone")
    interface = route.interface
    long = RunningDownload(lab, "--limit-rate", str(int(SAMPLE_BYTES / LONG)))
    try:
        long.wait_until_set_up()
        run_network_command(lab, "phone", "ip", "link", "set", interface, "down")
        verdict.equal(f"without {interface}: a new download", _download_outcome(lab), "refused: OnePathOnly")
        verdict.equal("the long download runs on meanwhile", str(long.running).lower(), "true")
        ended = long.result(timeout=6 * LONG)
    finally:
        long.stop()
        run_network_command(lab, "phone", "ip", "link", "set", interface, "up")
        back = time.monotonic()
        words = f"route replace default via {gateway} dev {interface} metric {route.metric}"
        for each in [words, *gateways_v6(lab.topology, "phone")]:
            run_network_command(lab, "phone", "ip", *each.split())
    verdict.equal("  its SHA-256 is the origin's", str(ended.sha256 == wanted).lower(), "true")
    verdict.within("  it took", ended.seconds, 2 * LONG, "s")
    states = {path["interface"]: path["state"] for path in ended.report["paths"]}
    verdict.equal(f"  its path by {interface} at the end", str(states[interface] == "open").lower(), "false")
    seconds, done = first_success(lab, back, 6 * BACK_LIMIT)
    verdict.within(f"from {interface} back to a finished download", seconds, BACK_LIMIT, "s")
    verdict.equal("  downgrades", ", ".join(done.report["downgrades"]) or "none", "none")


def _download_outcome(lab: Lab) -> str:
    try:
        return f"went through, owner edge {download_sample(lab, '--timeout', '2').owner}"
    except LabFailed as error:
        return (
            f"refused: {'OnePathOnly' if 'OnePathOnly' in str(error) or 'two paths' in str(error) else error}"
        )
