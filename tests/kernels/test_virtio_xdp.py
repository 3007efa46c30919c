"""XDP of the forwarder on `virtio_net` with several queues, in Debian's kernel under qemu, and tc beside it.

The host sends numbered segments of many flows into one interface of the machine and reads what leaves by the other. No
more of them are under way than any queue on the way holds: none is lost for want of room.
"""

import collections
import contextlib
import functools
import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distribution_kernel import DistributionKernel, make_user_space
from packets import ACK, SYN, tcp, tunnelled
from virtual_machines import open_tap_queues

from lab.emulation.tap import inside_namespace

pytestmark = [pytest.mark.needs("root", "netns", "clang", "qemu"), pytest.mark.timeout(1800)]

PACKAGES = ("python3", "libbpf1", "iproute2", "kmod", "ethtool")
PROGRAM = "PYTHONPATH=$PYTHONPATH:/checkout/tests/support python3 tests/kernels/virtio_forwarder_program.py"
QUEUES, PROCESSORS = (
    4,
    2,
)  # the driver receives by one queue for each processor, and takes as many more to send from XDP
TAPS = {"outside": "02:00:00:00:00:01", "backbone": "02:00:00:00:02:02"}
HARDWARE = bytes.fromhex("020000000102" + "020000000202")  # of a tunnel packet
OUTER = slice(26, 34)  # its addresses
FLOWS, WINDOW = 251, 128
COUNT, SYNS = 10_000, 100
START, ANSWER, QUIET = 600, 180, 20  # seconds, on an emulated processor of a busy machine
ETH_P_IP, SO_RCVBUFFORCE = 0x0800, 33


@functools.cache
def segment(number: int, flags: int = ACK) -> bytes:
    flow = number % FLOWS
    return tcp(f"198.51.100.{1 + flow}", "203.0.113.1", 40000 + flow, 10001, flags, number, data=b"numbered")


class NumberedTraffic:
    """Segments of clients to edge 1's locator, each with a number of its own, and what leaves by the backbone."""

    def __init__(self, namespace: Path) -> None:
        with inside_namespace(namespace):
            self._out, self._tap = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW) for _ in range(2))
        self._out.bind(("outside", 0))
        self._tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self._tap.bind(("backbone", ETH_P_IP))
        self._tap.setblocking(False)
        self.sent: list[bytes] = []
        self._received: list[bytes] = []
        self._lost = 0

    def close(self) -> None:
        self._out.close()
        self._tap.close()

    def send(self, flags: int = ACK) -> None:
        self.sent.append(segment(len(self.sent), flags))
        self._out.send(self.sent[-1])

    def send_until(self, enough: Callable[[], bool], flags: int = ACK) -> None:
        """Send, with no more than the window under way."""
        deadline = time.monotonic() + ANSWER
        while not enough():
            assert time.monotonic() < deadline, f"{self._under_way()} segments under way"
            if self._under_way() < WINDOW:
                self.send(flags)
            else:
                self._receive()

    def await_all(self) -> int:
        """Receive what is under way; return how many did not come, and none more did for a while."""
        quiet = time.monotonic() + QUIET
        while self._under_way() and time.monotonic() < quiet:
            if self._receive():
                quiet = time.monotonic() + QUIET
        lost, self._lost = self._under_way(), self._lost + self._under_way()
        return lost

    def _under_way(self) -> int:
        return len(self.sent) - len(self._received) - self._lost

    def _receive(self) -> bool:
        before = len(self._received)
        select.select([self._tap], [], [], 0.1)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._received.append(self._tap.recv(2048))
        return len(self._received) > before

    def read_arrived(self) -> collections.Counter[int]:
        """Return how often each number arrived; every packet is a segment as it was sent, in a tunnel to its owner."""
        numbers = [int.from_bytes(packet[58:62], "big") for packet in self._received]
        for number, packet in zip(numbers, self._received, strict=True):
            expected = tunnelled(self.sent[number])
            assert packet[:12] == HARDWARE
            assert packet[OUTER] == expected[OUTER]
            assert packet[34:] == expected[34:]
        return collections.Counter(numbers)


class VirtioMachine:
    """The machine with its forwarder, and the host's ends of its interfaces and of its serial line."""

    def __init__(self, line: socket.socket, traffic: NumberedTraffic) -> None:
        self._line, self.traffic = line, traffic
        self._text = b""
        self.rates: dict[str, float] = {}  # packets a second
        self.about = self.await_answer(START)

    def request(self, command: str) -> Any:
        self.begin(command)
        return self.await_answer(ANSWER)

    def begin(self, command: str) -> None:
        self._line.sendall(command.encode() + b"\n")

    def has_answered(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            self._text += self._line.recv(65536, socket.MSG_DONTWAIT)
        return b"\n" in self._text

    def await_answer(self, timeout: float) -> Any:
        deadline = time.monotonic() + timeout
        while not self.has_answered():
            assert time.monotonic() < deadline, "the machine does not answer"
            select.select([self._line], [], [], 1)
        line, _, self._text = self._text.partition(b"\n")
        return json.loads(line)

    def load_under_traffic(self, mode: str) -> tuple[dict[str, int], int]:
        """Load while segments pass; return the attached XDP programs, and how many segments were lost."""
        sent = len(self.traffic.sent)
        self.begin(f"load {mode}")
        self.traffic.send_until(self.has_answered)
        programs, during = self.await_answer(0)["programs"], len(self.traffic.sent) - sent
        lost = self.traffic.await_all()
        assert during > WINDOW, f"no segments passed during the load, {lost} of {during} were lost"
        return programs, lost


@pytest.fixture(scope="module")
def user_space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("virtio") / "root"
    make_user_space(folder, PACKAGES)
    return folder


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def machine(
    user_space: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VirtioMachine]:
    folder = tmp_path_factory.mktemp(request.param)
    kernel = DistributionKernel(request.param, folder / "kernel")
    namespace = f"virtio-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        with start_machine(kernel, user_space, folder, namespace) as machine:
            yield machine
    finally:
        subprocess.run(["ip", "netns", "del", namespace], check=True)


@contextlib.contextmanager
def start_machine(
    kernel: DistributionKernel, user_space: Path, folder: Path, namespace: str
) -> Iterator[VirtioMachine]:
    inside = ("ip", "netns", "exec", namespace)
    subprocess.run([*inside, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"], check=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "line"))
    listener.listen()
    devices = ["-serial", f"unix:{folder / 'line'}"]
    descriptors = []
    for name, address in TAPS.items():
        queues = open_tap_queues(name, namespace, QUEUES)
        subprocess.run([*inside, "ip", "link", "set", name, "up"], check=True)
        devices += ["-netdev", f"tap,id={name},fds={':'.join(map(str, queues))}"]
        device = f"virtio-net-pci,netdev={name},mac={address},mq=on,vectors={2 * QUEUES + 2},romfile="
        devices += ["-device", device]
        descriptors += queues
    console = folder / "console"
    with (
        contextlib.closing(NumberedTraffic(Path("/run/netns", namespace))) as traffic,
        kernel.boot(user_space, PROGRAM, console, devices, descriptors, PROCESSORS),
        listener,
    ):
        for descriptor in descriptors:
            os.close(descriptor)
        listener.settimeout(60)
        try:
            with listener.accept()[0] as line:
                machine = VirtioMachine(line, traffic)
                yield machine
        finally:
            print(console.read_text(errors="replace")[-4000:])


def change(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: n - before.get(name, 0) for name, n in after.items() if n != before.get(name, 0)}


@pytest.mark.parametrize("mode", ["off", "native"])
def test_each_segment_leaves_once_and_is_counted_once(machine: VirtioMachine, mode: str) -> None:
    """And more than one receive queue has packets, whichever hook forwards them."""
    traffic = machine.traffic
    done = machine.request(f"load {mode}")
    assert len(done["programs"]) == (2 if mode == "native" else 0)
    before = machine.request("read")
    first = len(traffic.sent)
    for number in range(first, first + COUNT):  # made before they are timed
        segment(number)
    began = time.monotonic()
    traffic.send_until(lambda: len(traffic.sent) == first + COUNT)
    assert traffic.await_all() == 0
    machine.rates[mode] = COUNT / (time.monotonic() - began)
    traffic.send_until(lambda: len(traffic.sent) == first + COUNT + SYNS, SYN)
    assert traffic.await_all() == 0
    arrived = traffic.read_arrived()
    assert [arrived[number] for number in range(first, len(traffic.sent))] == [1] * (COUNT + SYNS)
    assert max(arrived.values()) == 1

    after = machine.request("read")
    counted = change(before["counted"], after["counted"])
    by_xdp = change(before["by_xdp"], after["by_xdp"])
    counted.pop("NOT_FOR_VIP", 0)  # at the backbone's egress, where tunnel packets of tc pass
    assert counted == {"FORWARDED": COUNT + SYNS}
    assert by_xdp == ({"FORWARDED": COUNT} if mode == "native" else {})
    queues = change(before["queues"], after["queues"])
    seen, redirected = (
        [n for name, n in queues.items() if name.endswith(f" {figure}")]
        for figure in ("xdp_packets", "xdp_redirects")
    )
    if mode == "native":
        assert len(seen) > 1
        assert sum(seen) == COUNT + SYNS
        assert sum(redirected) == COUNT
    else:
        assert seen == []
    interrupts = [one - other for one, other in zip(after["interrupts"], before["interrupts"], strict=True)]
    assert sum(n > 0 for n in interrupts) > 1, interrupts
    if len(machine.rates) == 2:
        tc, xdp = machine.rates["off"], machine.rates["native"]
        print(
            f"{machine.about['kernel']}, emulated: tc {tc:.0f} packets/s, XDP {xdp:.0f}, ratio {xdp / tc:.2f}"
        )


def test_a_replacement_under_traffic_loses_and_doubles_no_packet(machine: VirtioMachine) -> None:
    """Where the kernel reports what drivers do (Linux 6.3), `auto` chooses XDP as well."""
    traffic = machine.traffic
    programs = machine.request("load native")["programs"]
    first = len(traffic.sent)
    again = "native" if machine.about["kernel"].startswith("6.1.") else "auto"
    for mode in ("native", again, "native"):
        replaced = programs
        programs, lost = machine.load_under_traffic(mode)
        assert programs.keys() == replaced.keys()
        assert not set(programs.values()) & set(replaced.values())
        assert lost == 0
    arrived = traffic.read_arrived()
    assert [arrived[number] for number in range(first, len(traffic.sent))] == [1] * (
        len(traffic.sent) - first
    )


def test_attaching_and_detaching_under_traffic_doubles_no_packet(machine: VirtioMachine) -> None:
    """The driver reinitialises its queues: what is under way then may be lost; what is sent afterwards is not."""
    traffic = machine.traffic
    machine.request("load off")
    for mode in ("native", "off"):
        lost = machine.load_under_traffic(mode)[1]
        first = len(traffic.sent)
        print(f"load --xdp {mode}: {lost} lost of {WINDOW} under way at most")
        traffic.send_until(lambda first=first: len(traffic.sent) == first + COUNT)  # type: ignore[misc]
        assert traffic.await_all() == 0
    assert max(traffic.read_arrived().values()) == 1
