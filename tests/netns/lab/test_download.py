"""The whole system: a real file over two paths, and kernel counters that say which way every packet went."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lab_download import GetSample

from balancer.datapath.maps.counters import read_counters
from balancer.model.verdict import Reason
from lab.namespace.place import LabFolder
from lab.sample import SAMPLE_BYTES
from lab.wait import wait_for

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

EDGES = ("edge1", "edge2", "edge3")
FORWARDING = (Reason.FORWARDED, Reason.DELIVERED, Reason.REPLY_FORWARDED, Reason.REPLY_RETURNED)


def link_counters(place: LabFolder, node: str, interface: str) -> tuple[int, int]:
    """Packets (received, sent) on an interface."""
    shown = subprocess.run(
        [*place.enter(node), "ip", "-j", "-s", "link", "show", interface],
        capture_output=True,
        text=True,
        check=True,
    )
    stats = json.loads(shown.stdout)[0]["stats64"]
    return stats["rx"]["packets"], stats["tx"]["packets"]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("transport", ["tcp", "mptcp"])
def test_a_file_comes_whole_over_two_paths(
    transport: str, place: LabFolder, get: GetSample, output: Path
) -> None:
    done = get("--transport", transport, "--json", "-o", str(output))
    assert done.returncode == 0, done.stderr
    assert digest(output) == digest(place.node("origin") / "sample.bin")
    result = json.loads(done.stderr.splitlines()[-1])
    report = result["report"]
    assert report["owner_id"] == 1
    assert report["downgrades"] == []
    assert [path["ingress_id"] for path in report["paths"]] == [1, 2]
    assert [path["observed"].split(":")[0] for path in report["paths"]] == ["10.1.0.2", "10.2.0.2"]


def test_both_directions_of_the_second_path_pass_the_second_edge_alone(
    place: LabFolder, get: GetSample, output: Path
) -> None:
    """The owner's own route to the client points to its own uplink, away from the ingress edge."""
    route = subprocess.run(
        [*place.enter("edge1"), "ip", "-j", "route", "get", "10.2.0.2"], capture_output=True, text=True
    )
    assert json.loads(route.stdout)[0]["dev"] == "up0"

    def settled() -> dict[str, dict[Reason, tuple[int, int]]]:
        """The counters when no packet of an earlier connection has come for a while."""
        found: list[dict[str, dict[Reason, tuple[int, int]]]] = []

        def still() -> bool:
            found.append({edge: read_counters(place.node(edge) / "bpf") for edge in EDGES})
            ways = [
                [counters[edge][way] for edge in counters for way in FORWARDING] for counters in found[-10:]
            ]
            return len(ways) == 10 and all(one == ways[0] for one in ways)

        wait_for("counters that stand still", still, 20)
        return found[-1]

    before = settled()
    assert get("-o", str(output)).returncode == 0
    after = settled()

    def grown(edge: str, reason: Reason) -> int:
        return after[edge][reason][0] - before[edge][reason][0]

    def everywhere(reason: Reason) -> int:
        return sum(grown(edge, reason) for edge in EDGES)

    assert grown("edge2", Reason.FORWARDED) > 0
    assert grown("edge1", Reason.DELIVERED) > 0
    assert grown("edge1", Reason.REPLY_FORWARDED) > 0
    assert grown("edge2", Reason.REPLY_RETURNED) > 0
    # what agents probe in the meantime goes by the forwarders too: none is lost between any two
    assert everywhere(Reason.DELIVERED) == everywhere(Reason.FORWARDED)
    assert everywhere(Reason.REPLY_RETURNED) == everywhere(Reason.REPLY_FORWARDED)
    drops = [reason for reason in Reason if reason.name.startswith("DROP_")]
    assert sum(grown(edge, reason) for edge in after for reason in drops) == 0


def test_no_packet_of_the_second_path_passes_the_first(
    place: LabFolder, get: GetSample, output: Path, tmp_path: Path
) -> None:
    """Two metric routes and no policy rules on the phone: a capture on cell0 shows path 0 only."""
    rules = subprocess.run(
        [*place.enter("phone"), "ip", "-j", "rule"], capture_output=True, text=True, check=True
    )
    assert len(json.loads(rules.stdout)) == 3
    capture = tmp_path / "cell0.pcap"
    tcpdump = subprocess.Popen(
        [
            *place.enter("phone"),
            *("tcpdump", "-i", "cell0", "-U", "-w", str(capture), "-Z", "root"),
            "tcp and (host 10.2.0.2 or portrange 10000-65535 and not port 443)",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert tcpdump.stderr is not None
        assert "listening" in tcpdump.stderr.readline()
        wifi = link_counters(place, "phone", "wifi0")
        assert get("-o", str(output)).returncode == 0
        received, sent = link_counters(place, "phone", "wifi0")
        assert received > wifi[0]
        assert sent > wifi[1]
    finally:
        tcpdump.terminate()
        _, said = tcpdump.communicate(timeout=60)
    assert "0 packets captured" in said, said


def test_bulk_over_the_forwarded_path_at_full_size(place: LabFolder, get: GetSample, output: Path) -> None:
    """With 1500 bytes of MTU everywhere: one way in by another edge's locator carries the whole file."""
    before = read_counters(place.node("edge2") / "bpf")
    for _ in range(3):
        assert get("--scheduler", "redundant", "-o", str(output)).returncode == 0
        assert digest(output) == digest(place.node("origin") / "sample.bin")
    after = read_counters(place.node("edge2") / "bpf")
    assert after[Reason.DROP_TOO_BIG] == before[Reason.DROP_TOO_BIG]
    assert after[Reason.REPLY_RETURNED][0] > before[Reason.REPLY_RETURNED][0]


def test_bulk_over_mptcp_takes_one_path_and_keeps_the_other(
    place: LabFolder, get: GetSample, output: Path
) -> None:
    """Were each end to mark another path as its backup, the kernel would spread the stream over both."""
    for _ in range(3):
        done = get("--transport", "mptcp", "--json", "-o", str(output))
        assert done.returncode == 0, done.stderr
        paths = json.loads(done.stderr.splitlines()[-1])["report"]["paths"]
        less, more = sorted(path["bytes_received"] for path in paths)
        assert more > SAMPLE_BYTES
        assert less < SAMPLE_BYTES // 50


def test_the_second_edge_answers_when_the_first_path_is_the_other(
    place: LabFolder, get: GetSample, output: Path
) -> None:
    done = get("--json", "-o", str(output), paths=("wifi0", "cell0"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stderr.splitlines()[-1])["report"]
    assert report["owner_id"] == 2
    assert [path["ingress_id"] for path in report["paths"]] == [2, 1]


def test_what_was_stored_is_served_from_the_store(place: LabFolder, get: GetSample, output: Path) -> None:
    assert get("-o", str(output)).returncode == 0
    stored = list((place.node("edge1") / "cache").glob("*.body"))
    assert {path.stat().st_size for path in stored} == {output.stat().st_size}


PAGE = Path(__file__).parents[3] / "docs" / "client.md"
EXAMPLES = re.findall(r"```python\n(.+?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("example", range(len(EXAMPLES)))
def test_the_examples_of_the_clients_page_run(place: LabFolder, tmp_path: Path, example: int) -> None:
    program = tmp_path / "example.py"
    program.write_text(EXAMPLES[example])
    done = subprocess.run(
        [*place.enter("phone"), sys.executable, str(program)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert ("HTTP/1.1 404" if "smkex.connect" in EXAMPLES[example] else str(SAMPLE_BYTES)) in done.stdout
    assert "path 1    wifi0" in done.stdout


def test_the_clients_page_has_examples() -> None:
    assert len(EXAMPLES) == 3


def test_the_second_path_opens_with_its_nonce_in_the_syn(
    place: LabFolder, get: GetSample, output: Path
) -> None:
    """Once a cookie is known: the owner's kernel counts connections whose SYN brought data, and no failure."""

    def counters(node: str) -> dict[str, int]:
        shown = subprocess.run(
            [*place.enter(node), "cat", "/proc/net/netstat"], capture_output=True, text=True, check=True
        )
        names, values = (line.split()[1:] for line in shown.stdout.splitlines()[:2])
        return dict(zip(names, map(int, values), strict=True))

    assert get("-o", str(output)).returncode == 0
    before = counters("edge1")
    assert get("-o", str(output)).returncode == 0
    after = counters("edge1")
    assert after["TCPFastOpenPassive"] > before["TCPFastOpenPassive"]  # more where a path was joined again
    assert after["TCPFastOpenPassiveFail"] == before["TCPFastOpenPassiveFail"]


def test_the_next_command_opens_both_paths_at_the_edge_that_is_remembered(
    place: LabFolder, get: GetSample, output: Path, tmp_path: Path
) -> None:
    """Client's messages go out on both paths before anything comes back; what is false in the file costs no more."""
    cache = tmp_path / "edges.json"

    def arrows() -> list[str]:
        done = get("-o", str(output), "--edge-cache", str(cache), "--verbose")
        assert done.returncode == 0, done.stderr
        assert digest(output) == digest(place.node("origin") / "sample.bin")
        return [line.split()[2] for line in done.stderr.splitlines() if line.startswith("path ")][:4]

    assert arrows() == ["->", "<-", "->", "<-"]
    assert cache.stat().st_mode & 0o777 == 0o600
    assert arrows() == ["->", "->", "<-", "<-"]
    cached = json.loads(cache.read_text())
    cache.write_text(json.dumps({key: [777, *rest] for key, (_, *rest) in cached.items()}))
    assert arrows() == ["->", "<-", "->", "<-"]
    assert arrows() == ["->", "->", "<-", "<-"]
