"""With direct replies the owner answers by its own uplink, and nothing goes back through the ingress edge."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from bulk import carry
from forwarder_network import ForwarderNetwork

from balancer.model.verdict import Reason
from node.vip import Replies

pytestmark = pytest.mark.needs("root", "netns", "bcc")

VIP, LOCATOR_OF_1 = "203.0.113.1", 10001
SIZE = 8 << 20


@contextlib.contextmanager
def connected(network: ForwarderNetwork) -> Iterator[tuple[socket.socket, socket.socket]]:
    """From the address of the phone's second link, by that link; not bound to it, replies come by the first."""
    network.in_("phone", "ip", "route", "add", "default", "via", "10.2.0.1", "dev", "wifi0", "table", "200")
    network.in_("phone", "ip", "rule", "add", "from", "10.2.0.2", "table", "200")
    with network.open_socket("edge1") as listener, network.open_socket("phone") as client:
        listener.bind((VIP, LOCATOR_OF_1))
        listener.listen()
        client.bind(("10.2.0.2", 0))
        client.connect((VIP, LOCATOR_OF_1))
        with listener.accept()[0] as served:
            served.settimeout(60)
            yield client, served


def test_replies_leave_by_the_owners_own_uplink_and_the_transfer_is_whole(network: ForwarderNetwork) -> None:
    network.vips = (replace(network.vips[0], replies=Replies.DIRECT),)
    network.publish()
    network.applied()
    before = network.packets("edge1", "up0")[1], network.packets("edge2", "up0")[1]
    with connected(network) as (client, served):
        # the ingress is known still
        assert served.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) == 0x5D000002
        carry(served, client, SIZE)
        carry(client, served, SIZE)
    counted = network.rest()
    owner, ingress = counted["edge1"], counted["edge2"]
    by_itself, by_the_ingress = network.packets("edge1", "up0")[1], network.packets("edge2", "up0")[1]
    assert by_itself - before[0] >= SIZE // 65536
    assert by_the_ingress - before[1] < SIZE // 65536
    assert ingress[Reason.FORWARDED] == owner[Reason.DELIVERED] > 0
    assert owner[Reason.REPLY_DIRECT] > 0
    assert owner[Reason.REPLY_FORWARDED] == ingress[Reason.REPLY_RETURNED] == 0
    drops = [each for each in Reason if each.name.startswith("DROP_")]
    assert {each: count for one in (owner, ingress) for each in drops if (count := one[each])} == {}


def test_a_connection_keeps_the_way_of_its_syn_when_the_vip_changes(network: ForwarderNetwork) -> None:
    with network.open_socket("edge1") as listener:
        listener.bind((VIP, LOCATOR_OF_1))
        listener.listen()
        with network.dial(LOCATOR_OF_1) as client, listener.accept()[0] as served:
            served.settimeout(60)
            carry(served, client, 1 << 20)
            network.vips = (replace(network.vips[0], replies=Replies.DIRECT),)
            network.publish()
            network.applied()
            carry(served, client, 1 << 20)
    assert network.rest()["edge1"][Reason.REPLY_DIRECT] <= 1, (
        "at most the answer to the last FIN, without a socket"
    )
