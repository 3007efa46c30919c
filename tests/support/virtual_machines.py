"""Machines under qemu: any processor will do (tcg), the kernel and systemd are Debian's own.

Each has a management interface of its own, reached by ssh through a port of 127.0.0.1, and an interface for each TAP
device, which lives in a network namespace of the lab. The disk is the baked image; what is written is gone at the end.
"""

import fcntl
import os
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from debian_image import KERNEL_SETTINGS, MANAGEMENT, Image, mac
from free_ports import free_port
from machine import Machine
from machine_lab import MachineLab

from lab.topology import BACKBONE, LAB

_TUNSETIFF = 0x400454CA
_TAP, _MULTI_QUEUE, _NO_PI, _VNET_HDR = 0x0002, 0x0100, 0x1000, 0x4000


class VirtualMachineLab(MachineLab):
    """Edges are machines under qemu, their backbone is inside WireGuard, as the inventory `lab` says."""

    control = "10.254.0.1"

    def __init__(self, folder: Path, image: Image, edges: Sequence[str]) -> None:
        super().__init__(folder)
        self._image, self._edges = image, edges

    def _boot(self) -> None:
        for name in self._edges:
            node = LAB.node(name)
            assert node.edge_id is not None
            _, carrier, _ = LAB.ends(name)[0]
            uplink = open_tap(carrier.interface, self.place.namespace(carrier.node))
            backbone = open_tap(name, self.place.namespace(BACKBONE))
            self._connect(name, carrier)
            taps = {mac(node.edge_id, "up0"): uplink, mac(node.edge_id, "bb0"): backbone}
            self.machines[name] = _start(name, self._image, self.folder, taps)
            os.close(uplink)
            os.close(backbone)


def _start(name: str, image: Image, folder: Path, taps: Mapping[str, int], memory: int = 768) -> Machine:
    """Start a machine; `taps` are descriptors by the MAC address of the interface that they are to be, `memory` MB."""
    port = free_port()
    console = Machine.console_of(name, folder)
    command = [
        *("setpriv", "--pdeathsig", "KILL"),  # it must not outlive who started it
        *("qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", "max", "-smp", "1"),
        *("-m", str(memory), "-display", "none", "-nodefaults", "-no-reboot"),
        *("-serial", "stdio", "-device", "virtio-rng-pci"),
        *("-kernel", str(image.folder / "vmlinuz"), "-initrd", str(image.folder / "initrd")),
        *("-append", f"{KERNEL_SETTINGS} systemd.hostname={name}"),
        *("-drive", f"file={image.disk},format=raw,if=virtio,snapshot=on,cache=unsafe"),
        *("-netdev", f"user,id=management,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", f"virtio-net-pci,netdev=management,mac={MANAGEMENT}"),
    ]
    for number, (address, descriptor) in enumerate(taps.items()):
        command += ["-netdev", f"tap,id=n{number},fd={descriptor}"]
        command += ["-device", f"virtio-net-pci,netdev=n{number},mac={address}"]
    with console.open("w") as output:
        process = subprocess.Popen(
            command, pass_fds=list(taps.values()), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    return Machine(name, folder, image.ssh_key, process, address="127.0.0.1", port=port)


def open_tap(name: str, namespace: str) -> int:
    """Make a TAP device, move it into a namespace, and return its descriptor, which closes it with its machine."""
    return open_tap_queues(name, namespace, 1)[0]


def open_tap_queues(name: str, namespace: str, count: int) -> list[int]:
    """Make a TAP device of several queues, move it into a namespace, and return a descriptor of each queue."""
    descriptors = [os.open("/dev/net/tun", os.O_RDWR) for _ in range(count)]
    temporary = f"t{os.getpid()}-{descriptors[0]}"
    flags = _TAP | _NO_PI | _VNET_HDR | (_MULTI_QUEUE if count > 1 else 0)
    for descriptor in descriptors:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", temporary.encode(), flags))
    subprocess.run(["ip", "link", "set", temporary, "netns", namespace, "name", name], check=True)
    return descriptors
