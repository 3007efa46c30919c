"""Connecting: refusals that say what to do, and packets that leave by their own interface only."""

import json
import subprocess
import sys
from time import monotonic, sleep
from typing import Any

import pytest

pytestmark = pytest.mark.needs("netns", "mptcp")

FIRST = [["client", 0, 11], ["server", 0, 22]]
BOTH = [*FIRST, ["join", 10001], ["client", 1, 33], ["server", 1, 44], ["client", 0, 5], ["server", 0, 5]]
# Counts what leaves by the wrong interface, and what leaves at all.
COUNTERS = """
table ip paths {
  counter strays { }
  counter cell { }
  counter wifi { }
  chain out {
    type filter hook postrouting priority 300;
    oifname "cell0" ip saddr 10.2.0.2 counter name strays
    oifname "wifi0" ip saddr 10.1.0.2 counter name strays
    oifname "cell0" ip saddr 10.1.0.2 counter name cell
    oifname "wifi0" ip saddr 10.2.0.2 counter name wifi
  }
}
"""


def run(links: Any, *command: str, namespace: str) -> str:
    done = subprocess.run(["ip", "netns", "exec", namespace, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rules(links: Any) -> list[dict[str, Any]]:
    """The source rules of mptcp connections, of living processes and dead."""
    found = json.loads(run(links, "ip", "-j", "rule", namespace=links.phone))
    return [rule for rule in found if rule.get("dst") == "203.0.113.1"]


def test_plain_tcp_is_refused_by_the_client(links: Any) -> None:
    server = links.start("server", steps=[], plain_server=True)
    server.wait_ready()
    assert links.start("client", steps=FIRST).result()["error"] == "MptcpFellBack"


def test_the_server_distinguishes_plain_tcp_from_mptcp(links: Any) -> None:
    server = links.start("server", steps=FIRST)
    server.wait_ready()
    program = "import socket; socket.create_connection(('203.0.113.1', 443), 5).recv(1)"
    run(links, "python3", "-c", program, namespace=links.phone)
    assert server.result()["error"] == "MptcpFellBack"


def test_a_refused_second_path_is_an_error_at_once(links: Any) -> None:
    server = links.start("server", steps=[*FIRST, ["client", 0, 1]], timeout=30)
    server.wait_ready()
    client = links.start("client", steps=[*FIRST, ["join", 10009]], timeout=30)
    result = client.result()
    assert (result["error"], result["message"]) == ("MissingSubflow", "the second subflow was refused")


def test_the_client_acknowledges_what_it_has_before_it_joins(links: Any) -> None:
    """Without its DATA_ACK the server's kernel sends again during a join of more than 200 ms, too much for path 0."""
    server = links.start("server", steps=[*FIRST, ["client", 0, 1]], timeout=20)
    server.wait_ready()
    client = links.start("client", steps=[*FIRST, ["join", 10009]], timeout=20)
    assert client.result()["message"] == "the second subflow was refused"
    shown = run(links, "nstat", "-asz", "MPTcpExtMPPrioTx", namespace=links.phone)
    assert shown.split()[-2] == "1"


def test_the_path_manager_of_other_programs_is_as_before(links: Any) -> None:
    setting = "/proc/sys/net/mptcp/path_manager"
    before = run(links, "cat", setting, namespace=links.phone)
    assert before != "userspace\n"
    server = links.start("server", steps=BOTH)
    server.wait_ready()
    client = links.start("client", steps=BOTH)
    assert not client.result().get("error")
    assert run(links, "cat", setting, namespace=links.phone) == before


def test_a_silent_second_path_is_an_error_in_time(links: Any) -> None:
    run(links, "ip", "route", "add", "blackhole", "10.2.0.2/32", namespace=links.server)
    server = links.start("server", steps=[*FIRST, ["join", 10001], ["client", 1, 1]], timeout=20)
    server.wait_ready()
    client = links.start("client", steps=[*FIRST, ["join", 10001]], timeout=5)
    assert client.result()["error"] == "MissingSubflow"
    assert server.result()["error"] in ("PeerClosed", "MptcpTimedOut")


def test_without_net_admin_the_client_says_what_to_do(links: Any) -> None:
    server = links.start("server", steps=FIRST)
    server.wait_ready()
    without = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    result = links.start("client", before=without, steps=FIRST).result()
    assert result["error"] == "NotPermitted"
    assert "CAP_NET_ADMIN" in result["hint"]
    assert "--transport tcp" in result["hint"]


def test_no_packet_of_one_path_leaves_by_the_other(links: Any) -> None:
    """Two metric default routes and no policy rules: by themselves both paths would leave by cell0."""
    subprocess.run(
        ["ip", "netns", "exec", links.phone, "nft", "-f", "-"], input=COUNTERS, text=True, check=True
    )
    client, server = links.exchange(BOTH, stream=1 << 20)
    assert (client["error"], server["error"]) == (None, None)
    listed = json.loads(run(links, "nft", "-j", "list", "counters", namespace=links.phone))["nftables"]
    packets = {row["counter"]["name"]: row["counter"]["packets"] for row in listed if "counter" in row}
    assert packets["strays"] == 0
    assert packets["cell"] > 5
    assert packets["wifi"] > 5


def test_the_rules_go_when_the_connection_is_closed(links: Any) -> None:
    client, _ = links.exchange(BOTH)
    assert client["error"] is None
    assert "203.0.113.1" not in run(links, "ip", "rule", namespace=links.phone)
    assert "unreachable" not in run(links, "ip", "route", "show", "table", "all", namespace=links.phone)


def test_what_a_crash_leaves_behind_is_swept_by_the_next_connection(links: Any) -> None:
    for crash, expected in ((True, 2), (True, 2), (False, 0)):
        server = links.start("server", steps=BOTH)
        server.wait_ready()
        links.start("client", steps=BOTH, crash=crash).process.communicate(timeout=60)
        assert run(links, "ip", "rule", namespace=links.phone).count("203.0.113.1") == expected


def test_one_interface_for_both_paths_is_refused(links: Any) -> None:
    program = (
        "import asyncio\nfrom smkex.transport.mptcp.connect import connect_mptcp\n"
        "from smkex.core.errors import SharedPath\n"
        "try: asyncio.run(connect_mptcp('203.0.113.1', 443, ['cell0', 'cell0']))\n"
        "except SharedPath: print('shared')\n"
    )
    assert run(links, sys.executable, "-c", program, namespace=links.phone) == "shared\n"


def test_a_path_whose_interface_is_down_goes_nowhere_instead_of_over_the_other(links: Any) -> None:
    server = links.start("server", steps=BOTH)
    server.wait_ready()
    links.start("client", steps=BOTH, crash=True).process.communicate(timeout=60)  # leaves its rules
    (rule,) = (r for r in rules(links) if r["src"] == "10.2.0.2")
    ask = ["ip", "-n", links.phone, "route", "get", "203.0.113.1", "from", "10.2.0.2", "mark", rule["fwmark"]]
    assert "dev wifi0" in subprocess.run(ask, capture_output=True, text=True).stdout
    subprocess.run(["ip", "-n", links.phone, "link", "set", "wifi0", "down"], check=True)
    assert "No route to host" in subprocess.run(ask, capture_output=True, text=True).stderr


def test_remains_of_a_killed_connection_block_no_other(links: Any) -> None:
    server = links.start("server", steps=[*BOTH, ["client", 0, 1]], timeout=30)
    server.wait_ready()
    client = links.start("client", steps=[*BOTH, ["server", 0, 1]], timeout=30)
    until = monotonic() + 60
    while len(rules(links)) < 2:
        assert monotonic() < until
        sleep(0.02)
    client.process.kill()
    client.process.wait()
    for command in (
        "link set wifi0 down",
        "link set wifi0 up",
        "route add default via 10.2.0.1 dev wifi0 metric 200",
    ):
        subprocess.run(["ip", "-n", links.phone, *command.split()], check=True)
    assert len(rules(links)) == 2
    # as a router would: without a route the kernel asks on the link for the address itself
    run(links, "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", namespace=links.server)
    listen = "import socket; s = socket.create_server(('203.0.113.1', 8443)); print('ready', flush=True); s.accept()"
    dial = (
        "import asyncio, ipaddress\nfrom smkex.transport.routes.paths import connect_from\n"
        "sock = asyncio.run(connect_from('wifi0', ipaddress.ip_address('203.0.113.1'), 8443))\n"
        "print(sock.getsockname()[0])\n"
    )
    command = ["ip", "netns", "exec", links.server, sys.executable, "-c", listen]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        try:
            assert listener.stdout is not None
            assert listener.stdout.readline() == "ready\n"
            assert run(links, sys.executable, "-c", dial, namespace=links.phone) == "10.2.0.2\n"
        finally:
            listener.kill()
