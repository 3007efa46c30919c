"""`stream_service` on the node `origin` of the lab, behind the service of kind tcp that leads to its port."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import stream_service

from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB, SERVICE_NAME
from lab.wait import wait_for

STREAM_HOST, STREAM_PORT = f"bulk.{SERVICE_NAME}", 7000


class StreamService:
    """The service on the node `origin`; `ends` are its reports, one a line."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def ends(self) -> list[list[object]]:
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("[")]

    def wait_for_end(self, command: str, since: int, limit: float = 20) -> object:
        wait_for(f"the end of {command}", lambda: len(self.ends()) > since, limit)
        found = self.ends()[since]
        assert found[0] == command
        return found[1]


@contextlib.contextmanager
def running_streams(place: LabFolder, log: Path) -> Iterator[StreamService]:
    command = NamespaceLab(place, LAB).command("origin", "python", stream_service.__file__, str(STREAM_PORT))
    with log.open("wb") as output, subprocess.Popen(command, stdout=output) as process:
        try:
            wait_for("the stream service", lambda: log.read_text().startswith("ready"), 20)
            yield StreamService(log)
        finally:
            process.terminate()
