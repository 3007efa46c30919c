"""Socket calls of unusual programs: captured, each finds what it finds towards a plain server, or is refused."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import socket_calls
from capture_service import CaptureService
from running_streams import STREAM_HOST as HOST
from running_streams import STREAM_PORT as PORT
from running_streams import StreamService, running_streams

from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

REFUSED = {"datagrams": ["EPERM", "EPERM"], "other_protocols": ["EPERM", "EPERM"]}
OPEN = f'exec 3<>/dev/tcp/{HOST}/7; echo "$0" >&3; read -u 3 line; '
CLOSED_BY_RESET = """
import socket, struct, sys
sock = socket.create_connection((sys.argv[1], 7), 20)
sock.sendall(b"watch\\n")
sock.recv(100)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
"""


@pytest.fixture(scope="module")
def streams(place: LabFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamService]:
    with running_streams(place, tmp_path_factory.mktemp("streams") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def plain(place: LabFolder, streams: StreamService) -> dict[str, object]:
    """What the calls find without Sennit, from a host beside the server."""
    source, server = LAB.backbone_address("control"), LAB.backbone_address("origin")
    command = ("python", socket_calls.__file__, str(server), str(PORT), str(source))
    lab = NamespaceLab(place, LAB)
    done = subprocess.run(lab.command("control", *command), capture_output=True, check=True, timeout=60)
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def found(captured: CaptureService, streams: StreamService) -> dict[str, object]:
    """What they find captured."""
    program = captured.folder / "socket_calls.py"
    program.write_text(Path(socket_calls.__file__).read_text())
    done = captured.run_captured("python", str(program), HOST, "7", "10.2.0.2", timeout=240)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", socket_calls.CALLS)
def test_a_call_finds_what_it_finds_without_sennit_or_is_refused(
    plain: dict[str, object], found: dict[str, object], name: str
) -> None:
    assert found[name] == REFUSED.get(name, plain[name])


@pytest.mark.parametrize(
    ("program", "end"),
    [(("bash", "-c", OPEN, "watch"), 0), (("python", "-c", CLOSED_BY_RESET, HOST), "reset")],
    ids=["closed", "reset"],
)
def test_the_service_sees_how_the_program_ended(
    captured: CaptureService, streams: StreamService, program: tuple[str, ...], end: object
) -> None:
    since = len(streams.ends())
    done = captured.run_captured(*program)
    assert done.returncode == 0, done.stderr
    assert streams.wait_for_end("watch", since) == end
