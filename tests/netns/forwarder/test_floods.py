"""Floods of one owner's locator at an ingress edge: the budgets stop them there, and established transfers go on."""

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from bulk import carry
from forwarder_network import ForwarderNetwork
from packets import ACK, SYN, tcp

from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "netns", "bcc")

VIP, LOCATOR_OF_1 = "203.0.113.1", 10001
SIZE = 4 << 20
FRAMES = 2_000  # of different made-up sources, sent over and over
BUDGETS = ("--budget-owner-syns", "500", "--budget-owner-packets", "500", "--budget-source-syns", "100")


@pytest.fixture(scope="module")
def limited(dual: ForwarderNetwork) -> Any:
    """With budgets that even this machine's senders exceed by far."""
    load = ("load", "--outside", "up0", "--outside", "up1", "--backbone", "bb0")
    dual.forwarder("edge2", *load, *BUDGETS)
    return dual


@contextlib.contextmanager
def flood(network: ForwarderNetwork, flags: int, sources: list[str]) -> Iterator[None]:
    """Packets to edge 1's locator with made-up sources, from the phone's second link, as fast as one thread can."""
    ends = network.hardware("edge2", "up0") + network.hardware("phone", "wifi0")
    header = bytes.fromhex(ends.replace(":", ""))
    frames = [
        header + tcp(source, VIP, random.randrange(1024, 65536), LOCATOR_OF_1, flags)[12:]
        for source in sources
    ]
    done = threading.Event()
    with network.open_socket("phone", socket.SOCK_RAW, socket.AF_PACKET) as raw:
        raw.bind(("wifi0", 0x0800))

        def send() -> None:
            while not done.is_set():
                for frame in frames:
                    with contextlib.suppress(OSError):  # the queue is full: the next one
                        raw.send(frame)

        sending = threading.Thread(target=send)
        sending.start()
        try:
            yield
        finally:
            done.set()
            sending.join(30)


MANY = [f"198.51.{number >> 8}.{number & 255}" for number in range(FRAMES)]


@pytest.mark.parametrize(
    ("flags", "sources", "stopped"),
    [
        (SYN, MANY, Reason.DROP_SYN_BUDGET),
        (SYN, ["198.51.100.7"] * FRAMES, Reason.DROP_SOURCE_BUDGET),
        (ACK, MANY, Reason.DROP_NOT_ADMITTED),
    ],
    ids=["spoofed-syns", "syns-of-one-source", "not-admitted"],
)
def test_an_established_transfer_goes_on_whole(
    limited: Any, flags: int, sources: list[str], stopped: Reason
) -> None:
    with limited.open_socket("edge1") as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((VIP, LOCATOR_OF_1))
        listener.listen()
        with limited.dial(LOCATOR_OF_1) as client, listener.accept()[0] as served:
            for end in (client, served):
                end.settimeout(60)
            carry(served, client, 1 << 20)  # its owner has answered: it is admitted
            before = limited.count("edge2")
            with flood(limited, flags, sources):
                limited.until(
                    lambda: limited.count("edge2")[stopped] > before[stopped] + FRAMES,
                    f"{stopped.name} counts",
                )
                carry(served, client, SIZE)
                carry(client, served, SIZE)
            after = limited.count("edge2")
    assert after[Reason.DROP_FAILED] == before[Reason.DROP_FAILED]
    if stopped is not Reason.DROP_NOT_ADMITTED:
        assert after[Reason.DROP_NOT_ADMITTED] == before[Reason.DROP_NOT_ADMITTED], (
            "what was answered is free"
        )
