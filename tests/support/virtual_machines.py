"""Machines under qemu: any processor will do (tcg), the kernel and systemd are Debian's own.

Each has a management interface of its own, reached by ssh through a port of 127.0.0.1, and an interface for each TAP
device, which lives in a network namespace of the lab. The disk is the baked image; what is written is gone at the end.
"""

import fcntl
import os
import shlex
import socket
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from debian_image import KERNEL_SETTINGS, MANAGEMENT, Image

from lab.wait import wait_for

_TUNSETIFF, _TAP, _NO_PI, _VNET_HDR = 0x400454CA, 0x0002, 0x1000, 0x4000
BOOT = 180  # seconds at most: a dozen on a quiet machine


class Machine:
    """One running machine."""

    def __init__(
        self, name: str, image: Image, folder: Path, taps: Mapping[str, int], memory: int = 768
    ) -> None:
        """Start it; `taps` are descriptors by the MAC address of the interface that they are to be."""
        self.name, self._image, self._folder = name, image, folder
        self.port = _free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.console = folder / f"{name}.console"
        command = [
            *("setpriv", "--pdeathsig", "KILL"),  # it must not outlive who started it
            *("qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", "max", "-smp", "1"),
            *("-m", str(memory), "-display", "none", "-nodefaults", "-no-reboot"),
            *("-serial", f"file:{self.console}", "-device", "virtio-rng-pci"),
            *("-kernel", str(image.folder / "vmlinuz"), "-initrd", str(image.folder / "initrd")),
            *("-append", f"{KERNEL_SETTINGS} systemd.hostname={name}"),
            *("-drive", f"file={image.disk},format=raw,if=virtio,snapshot=on,cache=unsafe"),
            *("-netdev", f"user,id=management,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
            *("-device", f"virtio-net-pci,netdev=management,mac={MANAGEMENT}"),
        ]
        for number, (mac, descriptor) in enumerate(taps.items()):
            command += ["-netdev", f"tap,id=n{number},fd={descriptor}"]
            command += ["-device", f"virtio-net-pci,netdev=n{number},mac={mac}"]
        with (folder / f"{name}.qemu").open("w") as output:
            self._process = subprocess.Popen(
                command, pass_fds=list(taps.values()), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def wait(self) -> None:
        """Wait until ssh answers. Raises `LabFailed` with the console's end."""
        wait_for(f"ssh of {self.name}", lambda: self._answers(), BOOT, self.console)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"qemu ended: {(self._folder / f'{self.name}.qemu').read_text()}")
        try:
            return self.run("true", check=False, timeout=20).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def run(
        self, *command: str, check: bool = True, timeout: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command as root. Raises `RuntimeError` with what it said."""
        done = subprocess.run(
            ["ssh", "-F", str(self.ssh_config([self])), self.name, shlex.join(command)],
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            raise RuntimeError(
                f"on {self.name}: {shlex.join(command)}: {(done.stderr or done.stdout).strip()}"
            )
        return done

    def ssh_config(self, machines: "list[Machine]") -> Path:
        """Write what ssh, and Ansible through it, needs to know of `machines`."""
        names = "-".join(machine.name for machine in machines)
        path = self._folder / f"{names}.ssh"
        path.write_text(
            "".join(
                f"Host {machine.name}\n  HostName 127.0.0.1\n  Port {machine.port}\n" for machine in machines
            )
            + f"Host *\n  User root\n  IdentityFile {self._image.ssh_key}\n  StrictHostKeyChecking no\n"
            "  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n  ConnectTimeout 15\n"
            f"  ControlMaster auto\n  ControlPersist 60\n  ControlPath {self._folder}/%n-%p\n"
        )
        return path

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def open_tap(name: str, namespace: str) -> int:
    """Make a TAP device, move it into a namespace, and return its descriptor, which closes it with its machine."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    temporary = f"t{os.getpid()}-{descriptor}"
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", temporary.encode(), _TAP | _NO_PI | _VNET_HDR))
    subprocess.run(["ip", "link", "set", temporary, "netns", namespace, "name", name], check=True)
    return descriptor


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
