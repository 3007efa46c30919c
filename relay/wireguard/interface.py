"""Make, find and remove WireGuard interfaces: the kernel's, or wireguard-go's where the kernel has none."""

import errno
import os
import shutil
import socket
import subprocess
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from relay.wireguard.device import WireguardDevice, WireguardUnavailable
from relay.wireguard.kernel_device import KernelDevice
from relay.wireguard.userspace_device import UserspaceDevice, control_socket

USERSPACE_PROGRAM = "wireguard-go"
START_TIMEOUT = 10.0  # seconds
NOT_PERMITTED = "run as root, or with CAP_NET_ADMIN"


def find_device(name: str) -> WireguardDevice | None:
    """Return the interface of this name; None where there is none."""
    if not has_interface(name):
        return None
    return UserspaceDevice(name) if control_socket(name).exists() else KernelDevice(name)


def create_device(name: str) -> WireguardDevice:
    """Make an interface, or return the one that is there. Raises `WireguardUnavailable`."""
    found = find_device(name)
    if found is not None:
        return found
    try:
        with IPRoute() as ipr:
            ipr.link("add", ifname=name, kind="wireguard")
        return KernelDevice(name)
    except NetlinkError as error:
        if error.code == errno.EPERM:
            raise WireguardUnavailable(f"{name} cannot be made: not permitted", NOT_PERMITTED) from None
        if error.code != errno.EOPNOTSUPP:
            raise WireguardUnavailable(f"{name} cannot be made: {os.strerror(error.code)}") from None
    return _start_userspace(name)


def remove_device(name: str) -> bool:
    """Remove an interface, and with it the wireguard-go that serves it; return whether it was there."""
    if not has_interface(name):
        return False
    try:
        with IPRoute() as ipr:
            ipr.link("del", index=socket.if_nametoindex(name))
    except NetlinkError as error:
        if error.code == errno.EPERM:
            raise WireguardUnavailable(f"{name} cannot be removed: not permitted", NOT_PERMITTED) from None
        if error.code != errno.ENODEV:
            raise WireguardUnavailable(f"{name} cannot be removed: {os.strerror(error.code)}") from None
    return True


def has_interface(name: str) -> bool:
    """Return whether an interface of this name is there, of any kind."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _start_userspace(name: str) -> WireguardDevice:
    """Start wireguard-go, which returns when the interface is there and goes on in the background."""
    program = shutil.which(USERSPACE_PROGRAM)
    if program is None:
        raise WireguardUnavailable(
            "this kernel has no WireGuard, and wireguard-go is not installed",
            "`apt-get install wireguard-go`, or run a kernel of the distribution",
        )
    environment: dict[str, Any] = {k: v for k, v in os.environ.items() if k not in ("LOG_LEVEL", "WG_TUN_FD")}
    try:
        done = subprocess.run(
            [program, name], env=environment, capture_output=True, text=True, timeout=START_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WireguardUnavailable(f"wireguard-go cannot be started: {error}") from None
    if done.returncode:
        # the error is on standard output; on standard error is a box that recommends the kernel's WireGuard
        errors = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
        said = errors[-1].rpartition("Failed to ")[2] if errors else f"exit status {done.returncode}"
        raise WireguardUnavailable(
            f"wireguard-go cannot make {name}: {said}", "it needs /dev/net/tun and CAP_NET_ADMIN"
        )
    return UserspaceDevice(name)
