"""The process that holds CAP_NET_ADMIN for the edge does little, and only for the VIP."""

import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.needs("netns", "mptcp")

PROGRAM = """
import asyncio
import socket
from smkex.server.handshake.path_manager.client import PathManagerClient
from smkex.server.handshake.path_manager.messages import Operation, Request
from smkex.server.handshake.path_manager.start import start_path_manager
from smkex.transport.mptcp.info import FourTuple
from smkex.transport.mptcp.pinned_connection import MptcpError

def connected():
    listening = socket.create_server(("127.0.0.1", 0))
    return socket.create_connection(listening.getsockname()), listening

async def main():
    process, (channel, other) = start_path_manager(["203.0.113.1"], clients=2)
    client = PathManagerClient(channel)
    plain, listening = connected()
    for vip in ("10.1.0.1", "203.0.113.1"):
        try:
            await client.connection_steering(plain).announce(vip, 10001)
        except MptcpError as error:
            print(type(error).__name__)
    other.send(b"garbage")
    print(len(other.recv(100)))
    # a client that asks and does not read: the others are served all the same
    request = Request(1, Operation.INSPECT, FourTuple("203.0.113.1", 1, "203.0.113.1", 2)).encode()
    other.setblocking(False)
    sent = 0
    try:
        while True:
            other.send(request)
            sent += 1
    except BlockingIOError:
        print(sent > 10)
    try:
        async with asyncio.timeout(5):
            await client.connection_steering(plain).announce("203.0.113.1", 10001)
    except MptcpError as error:
        print(type(error).__name__)
    client.close()
    other.close()
    print(process.wait(5))

try:
    asyncio.run(main())
except MptcpError as error:
    print(type(error).__name__)
"""


def run(links: Any, *before: str) -> list[str]:
    command = ["ip", "netns", "exec", links.server, *before, sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_it_serves_only_connections_to_the_vip_and_no_client_can_stop_the_others(links: Any) -> None:
    """Also where a client names the VIP and holds another connection, sends garbage, or does not read."""
    assert run(links) == ["NotPermitted", "NotPermitted", "13", "True", "NotPermitted", "0"]


def test_without_net_admin_the_edge_fails_at_start(links: Any) -> None:
    assert run(links, "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin") == ["NotPermitted"]


def test_the_marks_of_both_subflows_are_read_from_the_kernel(links: Any) -> None:
    """As the forwarder marks: every packet of the path, and the accepted sockets keep it (tcp_fwmark_accept)."""
    rules = """
table ip marks {
  chain in {
    type filter hook prerouting priority -150;
    iifname "wifi0" meta mark set 0x5e000002
  }
}
"""
    inside = ["ip", "netns", "exec", links.server]
    subprocess.run([*inside, "nft", "-f", "-"], input=rules, text=True, check=True)
    subprocess.run([*inside, "sysctl", "-qw", "net.ipv4.tcp_fwmark_accept=1"], check=True)
    steps = [["client", 0, 1], ["server", 0, 1], ["join", 10001], ["client", 1, 1], ["server", 1, 1]]
    _, server = links.exchange(steps)
    assert server["error"] is None
    assert server["marks"] == [0, 0x5E000002]
