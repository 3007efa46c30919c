"""What scenarios do on the phone: download the sample, and tell how it went."""

import hashlib
import json
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Any

from lab.errors import LabFailed
from lab.running import Lab, run
from lab.sample import SAMPLE
from lab.topology import SERVICE_NAME, LabNode
from lab.wait import scale_limit, wait_for

URL = f"smkex://{SERVICE_NAME}/{SAMPLE}"
# hashes on the phone: a container's file would have to be fetched first
SET_UP = "path 1 -> Finished"  # the last thing that `sennit get --verbose` says of a key exchange
_SCRIPT = 'set -o pipefail; sennit get --json "$@" | sha256sum'


@dataclass(frozen=True, slots=True)
class DownloadOutcome:
    """A finished download; `report` is the path report's fields, `seconds` the client's own measure."""

    sha256: str
    bytes: int
    seconds: float
    report: dict[str, Any]

    @property
    def owner(self) -> int:
        return int(self.report["owner_id"])

    @property
    def ingress(self) -> str:
        return ", ".join(str(path["ingress_id"]) for path in self.report["paths"])


class RunningDownload:
    """A download in progress on the phone."""

    def __init__(self, lab: Lab, *options: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            lab.command("phone", *_download_command("--verbose", *options)),
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until_set_up(self) -> None:
        """Wait until its keys are exchanged. Raises `LabFailed`."""
        wait_for("a key exchange", lambda: SET_UP in self._said() or not self.running, 20)

    def result(self, timeout: float) -> DownloadOutcome:
        """Wait for its end. Raises `LabFailed` with what the client said."""
        timeout = scale_limit(timeout)
        try:
            output, _ = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise LabFailed(f"a download did not end within {timeout:g} s") from None
        with self._errors:
            return _parse_outcome(self._process.returncode, output, self._said())

    def stop(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.communicate()

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read()


def download_sample(lab: Lab, *options: str, url: str = URL) -> DownloadOutcome:
    """Download the sample on the phone. Raises `LabFailed` with what the client said."""
    done = run(lab, "phone", *_download_command(*options, url=url))
    return _parse_outcome(done.returncode, done.stdout, done.stderr)


def first_success(lab: Lab, since: float, seconds: float) -> tuple[float, DownloadOutcome]:
    """Download, again and again, until one succeeds; seconds from `since` (monotonic) to its end.

    Raises `LabFailed` after `seconds`.
    """
    done = download_sample(lab, "--retry-for", str(scale_limit(seconds)), "--timeout", str(scale_limit(2)))
    return time.monotonic() - since, done


def sample_digest(lab: Lab) -> str:
    """SHA-256 of the sample at the origin, fetched past the CDN, over the backbone."""
    url = f"http://{lab.topology.backbone_address('origin')}:8080/{SAMPLE}"
    done = subprocess.run(lab.command("control", "curl", "-sS", "--fail", url), capture_output=True)
    if done.returncode:
        raise LabFailed(f"the origin does not answer: {done.stderr.decode().strip()}")
    return hashlib.sha256(done.stdout).hexdigest()


def first_carrier(lab: Lab) -> str:
    """Where the phone's first path begins."""
    return lab.topology.ends("phone")[0][1].node


def nearest_to_first_path(lab: Lab) -> LabNode:
    """The edge that the phone's first path leads to while all is well."""
    return lab.topology.nearest_edge(first_carrier(lab))


def id_of(edge: LabNode) -> int:
    assert edge.edge_id is not None
    return edge.edge_id


def _download_command(*options: str, url: str = URL) -> list[str]:
    return ["bash", "-c", _SCRIPT, "get", url, *options]


def _parse_outcome(status: int, output: str, errors: str) -> DownloadOutcome:
    lines = errors.strip().splitlines()
    if status or not lines:
        raise LabFailed(f"the download failed with status {status}: {' '.join(lines[-2:])}")
    result = json.loads(lines[-1])
    return DownloadOutcome(output.split()[0], result["bytes"], result["seconds"], result["report"])


class SteadyDownloads:
    """Downloads one after the other, for as long as the context lasts: what a user sees meanwhile."""

    def __init__(self, lab: Lab, *options: str) -> None:
        self._lab = lab
        self._options = options
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.done: list[DownloadOutcome] = []
        self.failed: list[str] = []

    def __enter__(self) -> "SteadyDownloads":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.done.append(download_sample(self._lab, *self._options))
            except LabFailed as error:
                self.failed.append(str(error))
