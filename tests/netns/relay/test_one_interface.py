"""A handset with one interface downloads over two paths, the second through a relay, whatever its uplink does."""

import subprocess
from collections.abc import Iterator

import pytest
from one_interface import RELAY, VIP, OneInterface
from relay_process import poll_until

from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "netns", "bcc", "wireguard")

SIZE = 4 << 20
AS_TABLE = "192.0.2.0/24 64500\n198.51.100.0\t24\t{}\n"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneInterface]:
    made = OneInterface(tmp_path_factory.mktemp("one-interface"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def page(network: OneInterface) -> bytes:
    file = network.folder / "page"
    content = file.read_bytes()
    file.unlink()
    return content


def test_a_download_goes_over_two_paths_that_enter_at_different_edges(network: OneInterface) -> None:
    before = network.count("edge2")[Reason.FORWARDED]
    status, done = network.finish(network.get(SIZE, "--scheduler", "redundant", "--strict-paths"))
    assert status == 0, done["said"]
    assert page(network) == b"a" * SIZE
    first, second = done["report"]["paths"]
    assert (first["interface"], second["interface"]) == ("eth0", network.path)
    assert first["observed"].startswith("192.0.2.2:")
    assert second["observed"].startswith(f"{RELAY}:"), "the edge sees the relay"
    assert (first["ingress_id"], second["ingress_id"]) == (1, 2)
    assert second["bytes_received"] > 0
    assert network.count("edge2")[Reason.FORWARDED] > before


def test_the_report_says_that_the_uplink_is_shared_and_what_that_means(network: OneInterface) -> None:
    table = network.folder / "ases"
    table.write_text(AS_TABLE.format(64501))
    status, done = network.finish(network.get(1000, "--as-table", str(table), "--strict-paths"))
    assert status == 0, done["said"]
    page(network)
    report = done["report"]
    assert [(path["relay"], path["leaves_by"], path["next_hop"]) for path in report["paths"]] == [
        (None, "eth0", "192.0.2.1"),
        (f"{RELAY}:51820", "eth0", "192.0.2.1"),
    ]
    assert [path["origins"] for path in report["paths"]] == [[64500], [64501]]
    (shared,) = report["shared"]
    assert (shared["kind"], shared["what"], shared["paths"]) == ("uplink", "eth0 by 192.0.2.1", [0, 1])
    assert "can change path 0 alone" in shared["text"]


@pytest.mark.needs("mptcp")
def test_transport_mptcp_goes_through_the_relay_too(network: OneInterface) -> None:
    status, done = network.finish(network.get(SIZE, "--transport", "mptcp"))
    assert status == 0, done["said"]
    assert page(network) == b"a" * SIZE
    paths = done["report"]["paths"]
    assert [path["interface"] for path in paths] == ["eth0", network.path]
    assert [path["ingress_id"] for path in paths] == [1, 2]
    assert [each["kind"] for each in done["report"]["shared"]] == ["uplink"]


def test_strict_paths_refuse_a_relay_in_the_same_as(network: OneInterface) -> None:
    table = network.folder / "ases"
    table.write_text(AS_TABLE.format(64500))
    status, done = network.finish(network.get(1000, "--as-table", str(table)))
    assert status == 0, done["said"]
    page(network)
    assert {each["kind"]: each["what"] for each in done["report"]["shared"]}["as"] == "64500"
    status, done = network.finish(network.get(1000, "--as-table", str(table), "--strict-paths"))
    assert status == 3, done["said"]
    assert "both paths come from AS64500" in done["said"]
    assert not (network.folder / "page").exists()


def test_the_kernels_own_answers_leave_by_the_path_too(network: OneInterface) -> None:
    """A late packet for a connection that is gone: the RST has no socket that is bound to the interface."""
    (own,) = {line.split()[3].partition("/")[0] for line in network.addresses_of(network.path)}
    route = [*network.enter("handset"), "ip", "-o", "route", "get", VIP, "from", own]
    shown = subprocess.run(route, capture_output=True, text=True, check=True).stdout
    assert f" dev {network.path} " in shown


def test_the_uplink_sees_path_0_and_wireguard_and_nothing_else(network: OneInterface) -> None:
    recording = network.folder / "uplink.pcap"
    capture = [*network.enter("isp"), "tcpdump", "-n", "-U", "-i", "hand0", "-w", str(recording), "ip"]
    with subprocess.Popen(capture, stderr=subprocess.PIPE, text=True) as tcpdump:
        try:
            assert tcpdump.stderr is not None
            assert "listening on" in tcpdump.stderr.readline()
            status, done = network.finish(network.get(SIZE, "--scheduler", "redundant"))
            assert status == 0, done["said"]
            page(network)
        finally:
            tcpdump.terminate()
            tcpdump.communicate(timeout=60)
    shown = subprocess.run(
        ["tcpdump", "-n", "-q", "-r", str(recording)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    wireguard = [line for line in shown if ".51820" in line and " UDP," in line]
    path_0 = [line for line in shown if f"{VIP}.443" in line]
    assert len(wireguard) > 8, "handshakes of WireGuard, TCP and SMKEX"
    assert len(path_0) > 10
    assert len(wireguard) + len(path_0) == len(shown), [
        line for line in shown if line not in (*wireguard, *path_0)
    ]


@pytest.mark.parametrize(
    ("strategy", "error"),
    [("shares", "BindingMismatch"), ("session-ids", ""), ("offers", "BindingMismatch"), ("strip-hybrid", "")],
)
def test_an_attacker_on_the_only_uplink_that_changes_path_0_is_detected(
    network: OneInterface, strategy: str, error: str
) -> None:
    with network.attacker_at_the_isp(strategy) as log:
        status, done = network.finish(network.get(SIZE, "--timeout", "8"))
        said = log.read_text()
    network.in_("isp", "nft", "delete", "table", "ip", "attack")
    assert "CHANGED" in said, said
    assert status != 0
    assert error in done["said"]
    assert not (network.folder / "page").exists()


def test_the_running_session_outlives_the_attacker_on_the_uplink(network: OneInterface) -> None:
    """It changes a byte of path 0, which is closed; the stream arrives through the relay."""
    with network.attacker_at_the_isp("flip-byte") as log:
        status, done = network.finish(network.get(SIZE))
        said = log.read_text()
    network.in_("isp", "nft", "delete", "table", "ip", "attack")
    assert "a record CHANGED" in said, said
    assert status == 0, done["said"]
    assert page(network) == b"a" * SIZE


def test_an_uplink_that_stops_wireguard_ends_the_handshake_and_no_session_is_weaker(
    network: OneInterface,
) -> None:
    network.in_(
        "isp",
        "nft",
        "table ip stop { chain forward { type filter hook forward priority 0; udp dport 51820 drop; } ; }",
    )
    try:
        status, done = network.finish(network.get(1000, "--timeout", "4"))
    finally:
        network.in_("isp", "nft", "delete", "table", "ip", "stop")
    assert status in (3, 4), done["said"]
    assert not (network.folder / "page").exists()


def test_a_relay_that_dies_costs_its_path_and_not_the_stream(network: OneInterface) -> None:
    """Last of the module: the relay is gone afterwards."""
    size = 24 << 20
    client = network.get(size, "--scheduler", "aggregate", "--limit-rate", "4M")
    part = network.folder / "page.part"
    try:
        poll_until(lambda: part.exists() and part.stat().st_size > 2 << 20, lambda: "no part")
        network.relay.stop(kill=True)
        network.in_("relay", "ip", "link", "del", network.relay.interface)
        assert part.exists(), "the transfer was under way"
        status, done = network.finish(client)
    finally:
        client.kill()
    assert status == 0, done["said"]
    assert page(network) == b"a" * size
    states = [path["state"] for path in done["report"]["paths"]]
    assert states[0] == "open"
    assert states[1] != "open"
