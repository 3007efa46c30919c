"""The shield across the lab's three edges, control plane, agents and backbone: one request at the origin for all."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from own_lab import own_lab

from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB, VIP
from lab.wait import wait_for
from node.state.shield import read_shield_sites

pytestmark = [pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird"), pytest.mark.timeout(480)]

EDGES = ("edge1", "edge2", "edge3")
SHIELD, OTHERS = "edge2", ("edge1", "edge3")
PORT, SHIELD_PORT = 9000, 8445
# logs the path of each request and its last CDN-Loop, and answers two seconds later
ORIGIN = """
import asyncio, sys
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().split("\\r\\n")
            fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            print(head[0].split(" ")[1], fields["cdn-loop"].replace(" ", ""), flush=True)
            await asyncio.sleep(2)
            writer.write(b"HTTP/1.1 200 OK\\r\\ncache-control: max-age=600\\r\\ncontent-length: 4\\r\\n\\r\\nbody")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1])) as server:
        print("ready", flush=True)
        await server.serve_forever()
asyncio.run(main())
"""
# asks an edge as another edge would; `key` is the fleet's, another, or none
STRANGER = """
import socket, ssl, sys
from edge.origins.shield.fleet_identity import NAME, FleetIdentity
address, key, path = sys.argv[1], sys.argv[2], sys.argv[3]
tls = FleetIdentity(bytes.fromhex(key)).client if key else ssl.create_default_context()
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
try:
    with socket.create_connection((address, 8445), 10) as plain, tls.wrap_socket(plain, server_hostname=NAME) as it:
        it.sendall(f"GET {path} HTTP/1.1\\r\\nhost: 203.0.113.1\\r\\n\\r\\n".encode())
        print(it.recv(1000).decode().split("\\r\\n")[0])
except OSError as error:
    print("refused:", error)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NamespaceLab]:
    """A lab of its own: its service is behind the shield, and an edge is killed."""
    with own_lab("sh", tmp_path_factory.mktemp("shield")) as made:
        yield NamespaceLab(made, LAB)


@pytest.fixture(scope="module")
def origin_log(lab: NamespaceLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An origin, and the service that site b shields in front of it, in force at all edges."""
    folder = tmp_path_factory.mktemp("origin")
    log, document = folder / "log", folder / "shielded.json"
    backbone = LAB.backbone_address("origin")
    described = {
        "hostnames": [VIP],
        "origins": [{"name": "main", "url": f"http://{backbone}:{PORT}"}],
        "shield": {"site": LAB.node(SHIELD).site},
    }
    document.write_text(json.dumps(described))
    with log.open("wb") as output:
        process = subprocess.Popen(lab.command("origin", "python", "-c", ORIGIN, str(PORT)), stdout=output)
    try:
        wait_for("the origin", lambda: "ready" in log.read_text(), 30)
        lab.operate("services", "create", "shielded")
        lab.operate("services", "edit", "shielded", "-f", str(document), "--activate")
        wait_for("the service at all edges", lambda: "3/3" in lab.operate("services", "list"), 60)
        for edge in EDGES:
            wait_for(f"the shield at {edge}", lambda edge=edge: knows_shield(lab.place, edge), 60)  # type: ignore[misc]
        yield log
    finally:
        process.terminate()
        process.wait()


def knows_shield(place: LabFolder, edge: str) -> bool:
    try:
        found = read_shield_sites(place.node(edge)).sites.get(LAB.node(SHIELD).site, ())
    except (OSError, ValueError):
        return False
    return [each.name for each in found] == [SHIELD]


def fetch(lab: NamespaceLab, edge: str, path: str) -> str:
    """What a client on the host of an edge gets from it."""
    options = ["--path", "lo", "--path", "lo", "--allow-shared-path", "-o", "-"]
    command = lab.command(edge, "sennit", "get", f"smkex://{VIP}{path}", *options)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fetch_at(lab: NamespaceLab, edges: tuple[str, ...], path: str) -> list[str]:
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda edge: fetch(lab, edge, path), edges))


def asked_for(log: Path, path: str) -> list[str]:
    """The edge that each request at the origin came from."""
    lines = (line.split() for line in log.read_text().splitlines())
    return [
        loop.replace(".sennit", "")
        for target, loop in (line for line in lines if len(line) == 2)
        if target == path
    ]


def test_misses_at_three_edges_are_one_request_at_the_origin(lab: NamespaceLab, origin_log: Path) -> None:
    for number in range(3):
        assert fetch_at(lab, EDGES, f"/{number}") == ["body"] * 3
        assert asked_for(origin_log, f"/{number}") == [SHIELD]


def test_a_stranger_on_the_backbone_is_refused(lab: NamespaceLab, origin_log: Path) -> None:
    address, key = LAB.backbone_address(SHIELD), read_shield_sites(lab.place.node("edge1")).key.hex()

    def ask(node: str, at: str, shown: str) -> str:
        command = lab.command(node, "python", "-c", STRANGER, at, shown, "/stranger")
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout

    assert "HTTP/1.1 200" in ask("origin", address, key)  # an edge of the fleet is answered
    for shown in ("", bytes(32).hex()):
        assert "HTTP/1.1" not in ask("origin", address, shown)
    assert "refused" in ask("phone", VIP, key), "the shield's port is on the backbone alone"
    assert len(asked_for(origin_log, "/stranger")) == 1


def test_the_origin_is_asked_directly_while_the_shield_is_dead(lab: NamespaceLab, origin_log: Path) -> None:
    shield = LAB.node(SHIELD)
    lab.kill_server(shield)
    assert fetch_at(lab, OTHERS, "/dead") == ["body"] * 2
    assert sorted(asked_for(origin_log, "/dead")) == sorted(OTHERS)
    lab.start_server(shield)
    asked = iter(range(1000))

    def is_shielded() -> bool:
        path = f"/again{next(asked)}"
        fetch(lab, "edge1", path)
        return asked_for(origin_log, path) == [SHIELD]

    wait_for("the shield to be asked again", is_shielded, 90, lab.place.log("edge1", "edge"))
