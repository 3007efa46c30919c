"""How exact an emulated link is, on a machine that does nothing else."""

import socket
import threading
import time
from pathlib import Path

import pytest
from two_hosts import CABLE

from lab.emulation.impairment import Impairment
from lab.emulation.namespace import SlowLink
from lab.emulation.rtt import measure
from lab.emulation.tap import inside_namespace
from lab.namespace.place import LabFolder

pytestmark = pytest.mark.needs("root", "netns")

OTHER = str(CABLE.right.address.ip)


def timed_transfer(one: Path, other: Path, total: int) -> list[tuple[float, int]]:
    """The moments at which bytes arrived, with how many there were by then."""
    with inside_namespace(other):
        listening = socket.socket()
    with inside_namespace(one):
        sock = socket.socket()
    with listening, sock:
        listening.bind((OTHER, 0))
        listening.listen()
        sock.connect(listening.getsockname())
        with listening.accept()[0] as accepted:
            sender = threading.Thread(target=sock.sendall, args=(bytes(total),), daemon=True)
            sender.start()
            got, marks = 0, []
            while got < total:
                got += len(accepted.recv(1 << 20))
                marks.append((time.perf_counter(), got))
            sender.join()
    return marks


@pytest.mark.parametrize("round_trip", [0.005, 0.280])
def test_the_round_trip_is_within_the_stated_error(
    cable: SlowLink, hosts: LabFolder, round_trip: float
) -> None:
    one = hosts.namespace_file("one")
    for _ in range(10):  # a machine that is busy for a moment is measured again
        stated = cable.set(Impairment(delay=round_trip / 2, rate=50e6))
        again = measure(one, "eth0", OTHER)
        if abs(stated.error) < 0.0002 and abs(again.median - round_trip) < 0.0005:
            return
    pytest.fail(f"stated {stated}, then measured {again}")


def test_a_transfer_gets_the_rate(cable: SlowLink, hosts: LabFolder) -> None:
    cable.set(Impairment(delay=0.0025, rate=50e6))
    total = 6 << 20
    marks = timed_transfer(hosts.namespace_file("one"), hosts.namespace_file("other"), total)
    start = next(mark for mark in marks if mark[1] > total // 4)  # past slow start
    rate = (marks[-1][1] - start[1]) * 8 / (marks[-1][0] - start[0])
    assert 43e6 < rate < 50e6


def test_uncut_frames_pass_where_no_rate_counts_them(cable: SlowLink, hosts: LabFolder) -> None:
    cable.set(Impairment(delay=0.0005))
    total = 32 << 20
    marks = timed_transfer(hosts.namespace_file("one"), hosts.namespace_file("other"), total)
    assert total * 8 / (marks[-1][0] - marks[0][0]) > 300e6
