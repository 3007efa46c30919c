"""The first download: the sample file over both transports, checked, with the path reports."""

import hashlib
import subprocess
import sys
from pathlib import Path

from lab.bringup import SAMPLE, say
from lab.daemons import LabFailed, sennit
from lab.place import Place
from lab.topology import VIP

TRANSPORTS = ("tcp", "mptcp")


def download(place: Place, transport: str, output: Path) -> None:
    """Download the sample on the phone; its report goes to our standard error. Raises `LabFailed`."""
    done = subprocess.run(
        [
            *place.enter("phone"),
            *(sennit(), "get", f"smkex://{VIP}/{SAMPLE}", "--path", "cell0", "--path", "wifi0"),
            *("--transport", transport, "-o", str(output)),
        ]
    )
    if done.returncode:
        raise LabFailed(f"the download over {transport} failed with status {done.returncode}")


def demo(place: Place) -> None:
    """Raises `LabFailed` when a download fails or its SHA-256 differs."""
    wanted = _digest(place.node("origin") / SAMPLE)
    for transport in TRANSPORTS:
        say(f"download over {transport}")
        output = place.node("phone") / f"{SAMPLE}.{transport}"
        download(place, transport, output)
        got = _digest(output)
        output.unlink()
        if got != wanted:
            raise LabFailed(f"over {transport} came a file with SHA-256 {got} instead of {wanted}")
        print(f"sha256    {got}  as at the origin", file=sys.stderr)
    say("the lab stays up. Try:")
    for hint in (
        f"sennit lab exec phone -- sennit get smkex://{VIP}/{SAMPLE} --path wifi0 --path cell0 -o /dev/null",
        "sennit lab status",
        "sennit lab exec edge2 -- sennit forwarder status --bpffs " + str(place.node("edge2") / "bpf"),
        "sennit lab down",
    ):
        print(f"  {hint}", file=sys.stderr)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
