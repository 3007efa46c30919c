"""Programs as Debian has them, of a user without root, under the capture service: over two paths, with their reports.

Each is held while its session is listed: by output that is not read, or by what it waits for.
"""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browser_at
from capture_service import PLAIN_USER, CaptureService
from postgresql import Cluster, cluster
from ssh_server import SshServer, ssh_server
from tcp_door import door

from lab.namespace.place import LabFolder
from lab.topology import LAB, SERVICE_NAME

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird", "postgresql")

ORIGIN = LAB.backbone_address("origin")
URL = f"http://{SERVICE_NAME}/sample.bin"
SSH, DATABASE = f"ssh.{SERVICE_NAME}", f"db.{SERVICE_NAME}"
QUERY = "select md5(string_agg(n::text, ',')) from generate_series(1, 100000) n"


def check_report(report: dict[str, Any]) -> None:
    assert report["program"] == "capture"
    assert [path["interface"] for path in report["paths"]] == ["cell0", "wifi0"]
    assert [path["observed"].partition(":")[0] for path in report["paths"]] == ["10.1.0.2", "10.2.0.2"]
    assert report["downgrades"] == []


@pytest.fixture
def wanted(place: LabFolder) -> bytes:
    return (place.node("origin") / "sample.bin").read_bytes()


@pytest.mark.parametrize(
    "program",
    [
        ("curl", "-sS", "--fail", URL),
        ("wget", "-q", "-O", "-", URL),
        # Go makes its system calls itself, and here resolves names itself too
        ("env", "GODEBUG=netdns=go", "rclone", "-q", "copyurl", "--stdout", URL),
    ],
    ids=["curl", "wget", "rclone"],
)
def test_a_download_to_standard_output(
    captured: CaptureService, program: tuple[str, ...], wanted: bytes
) -> None:
    with captured.start_program("sennit", "run", "--", *program) as running:
        check_report(captured.listed_session(SERVICE_NAME))  # more than all buffers hold is on its way
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert hashlib.sha256(out).digest() == hashlib.sha256(wanted).digest()


def test_git_clones_over_http(captured: CaptureService, place: LabFolder, tmp_path: Path) -> None:
    source, bare = tmp_path / "source", place.node("origin") / "captured.git"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(1 << 20))
    identity = ("-c", "user.name=lab", "-c", "user.email=lab@example.org")
    for command in (
        ("init", "-q", str(source)),
        ("-C", str(source), "add", "file"),
        ("-C", str(source), *identity, "commit", "-q", "-m", "first"),
        ("clone", "-q", "--bare", str(source), str(bare)),
        ("-C", str(bare), "update-server-info"),
    ):
        subprocess.run(["git", *command], check=True)
    clone = ("git", "clone", "-q", f"http://{SERVICE_NAME}/captured.git", "clone")
    # the trace is more than a pipe holds
    with captured.start_program(
        "sennit", "run", "--", *clone, environment={"GIT_TRACE_CURL": "1"}
    ) as running:
        check_report(captured.listed_session(SERVICE_NAME))
        _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err[-2000:]
    copy = captured.folder / f"home-{PLAIN_USER}" / "clone" / "file"
    assert copy.read_bytes() == (source / "file").read_bytes()


@pytest.fixture(scope="module")
def server(place: LabFolder, captured: CaptureService) -> Iterator[SshServer]:
    folder = captured.folder / "ssh"
    folder.mkdir(mode=0o755)
    with ssh_server(place, "origin", ORIGIN, 2222, folder) as running:
        yield running


def test_ssh_carries_both_directions(captured: CaptureService, server: SshServer) -> None:
    command = ("ssh", *server.options(PLAIN_USER), SSH, "sha256sum; exit 5")
    data = bytes(range(256)) * 40_000
    with captured.start_program("sennit", "run", "--", *command) as running:
        check_report(captured.listed_session(SSH))  # it waits for standard input
        out, err = running.communicate(data, timeout=60)
    assert running.returncode == 5, err
    assert out.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_rsync_copies_there_and_back(
    captured: CaptureService, server: SshServer, tmp_path: Path, wanted: bytes
) -> None:
    home = captured.folder / f"home-{PLAIN_USER}"
    tree, there, gate = home / "tree", tmp_path / "there", tmp_path / "gate"
    tree.mkdir()
    (tree / "sample").write_bytes(wanted)
    (tree / "small").write_text("small\n")
    subprocess.run(["mkfifo", str(gate)], check=True)
    # the far end begins once the test has listed the session
    waiting = ("rsync", "-a", "-e", server.shell(PLAIN_USER), f"--rsync-path=cat {gate}; rsync")
    with captured.start_program("sennit", "run", "--", *waiting, "tree/", f"{SSH}:{there}/") as running:
        check_report(captured.listed_session(SSH))
        gate.open("w").close()
        _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert (there / "sample").read_bytes() == wanted
    back = captured.run_captured("rsync", "-a", "-e", server.shell(PLAIN_USER), f"{SSH}:{there}/", "back/")
    assert back.returncode == 0, back.stderr
    assert (home / "back" / "sample").read_bytes() == wanted
    assert (home / "back" / "small").read_text() == "small\n"


@pytest.fixture(scope="module")
def database(captured: CaptureService) -> Iterator[Cluster]:
    with cluster() as running, door(captured.lab, running):
        yield running


def test_psql_reaches_a_real_database(captured: CaptureService, database: Cluster) -> None:
    psql = ("psql", "-X", "-h", DATABASE, "-U", "postgres", "-d", "postgres", "-At")
    with captured.start_program("sennit", "run", "--", *psql) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(f"{QUERY};\n".encode())
        running.stdin.flush()
        answer = running.stdout.readline().decode()
        check_report(captured.listed_session(DATABASE))
        rows, err = running.communicate(
            b"select repeat('x', 1000) || n from generate_series(1, 20000) n;\n", 60
        )
    assert running.returncode == 0, err
    expected = subprocess.run(
        ["psql", "-X", "-At", "-c", QUERY, database.url("postgres")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer == expected.stdout
    assert rows.decode() == "".join(f"{'x' * 1000}{n}\n" for n in range(1, 20001))


PAGE = """<!doctype html><title>waiting</title><script>
fetch("sample.bin").then(answer => answer.arrayBuffer()).then(data => { document.title = data.byteLength })
</script>
"""


def test_chromium_shows_a_page_without_proxy_settings(
    captured: CaptureService, place: LabFolder, open_folder: Path, wanted: bytes
) -> None:
    (place.node("origin") / "page.html").write_text(PAGE)
    captured_browser = captured.lab.command(
        "phone", "env", f"SENNIT_CAPTURE_SOCKET={captured.socket_path}", "sennit"
    )
    enter = [*captured_browser, "run", "--through-service", "--"]
    with browser_at(enter, open_folder) as browser:
        page = browser.new_page()
        page.goto(f"http://{SERVICE_NAME}/page.html")
        page.wait_for_function(f"document.title == '{len(wanted)}'", timeout=30_000)
        check_report(captured.listed_session(SERVICE_NAME, uid=0))  # its connection stays open
