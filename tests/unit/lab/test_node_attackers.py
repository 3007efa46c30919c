"""What the attackers of nodes send is what the node would act upon, if it did not defend itself."""

import asyncio
import base64
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from ipaddress import IPv4Address, IPv6Address

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancer.agent.peers.peer_watch import PeerMonitor
from balancer.model.reference.decision import ReferenceForwarder
from balancer.model.reference.tunnel import Ends
from balancer.model.table import ForwardingTable, TableEdge
from balancer.model.verdict import Reason
from lab.attack import hostile_peer
from lab.attack.hostile_peer import HostileAnswer
from lab.attack.icmp_flood import make_error
from node.vip import Vip

VIP = Vip("main", "203.0.113.1", None)
EDGES = (TableEdge(1, "edge1", "10.255.0.1", None), TableEdge(2, "edge2", "10.255.0.2", None))
ANSWERS = 7


def frame_of_error(message: bytes) -> bytes:
    """The ICMP message from a router to the VIP."""
    addresses = bytes((192, 0, 2, 254, 203, 0, 113, 1))
    head = bytes((0x45, 0)) + (20 + len(message)).to_bytes(2, "big") + bytes((0, 0, 0x40, 0, 64, 1, 0, 0))
    return bytes(12) + b"\x08\0" + head + addresses + message


@pytest.mark.parametrize(
    ("spent", "reason"), [(False, Reason.ICMP_FORWARDED), (True, Reason.DROP_ERROR_BUDGET)]
)
def test_an_error_of_the_flood_goes_to_the_owner_until_its_budget_ends(spent: bool, reason: Reason) -> None:
    forwarder = ReferenceForwarder(
        1, Ends("10.255.0.1", None), ForwardingTable(1, (VIP,), EDGES), spent=spent
    )
    message = make_error(bytes((203, 0, 113, 1)), 10_002, 40_000)
    assert forwarder.outside(frame_of_error(message)).reason is reason


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of an agent that was taken over."""
    monkeypatch.setattr(HostileAnswer, "edge_id", 2)
    monkeypatch.setattr(hostile_peer, "BOMB", 8 << 20)
    server = ThreadingHTTPServer(("127.0.0.1", 0), HostileAnswer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join(10)
    server.server_close()


def on_loopback(address: IPv4Address | IPv6Address) -> bool:
    return address.is_loopback


async def test_no_answer_of_a_hostile_peer_makes_it_serve_or_be_asked_elsewhere(hostile: int) -> None:
    key = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    peer = TableEdge(2, "edge2", "127.0.0.1", None, peer_key=key, outside="127.0.0.1")
    watch = PeerMonitor(hostile, accepts=on_loopback)
    for _ in range(ANSWERS):
        await watch.check_peers((peer,))
        await asyncio.sleep(0)
    status = watch.statuses[2]
    assert (status.backbone, status.outside, status.generation) == (False, False, None)
    assert watch.stand_in() is None
