"""Configure and read an interface of the kernel's WireGuard, with nothing but the standard library; prints JSON."""

import ipaddress
import json
import subprocess

from relay.wireguard.device import DeviceChange, WireguardPeer, WireguardUnavailable, compare_peers
from relay.wireguard.kernel_device import KernelDevice

NAME, COUNT = "wg7", 150  # of peers: more than one message holds
ENDPOINT = ipaddress.ip_address("198.51.100.7"), 51820
ENDPOINT_V6 = ipaddress.ip_address("2001:db8::7"), 51821


def peer(number: int) -> WireguardPeer:
    allowed = (f"10.71.{number}.0/24", f"fd00:{number:x}::/64")
    endpoint = (ENDPOINT, ENDPOINT_V6)[number % 2] if number < 4 else None
    return WireguardPeer(bytes([number + 1]) * 32, allowed, endpoint, 25 if number < 4 else 0)


def shown() -> list[list[str]]:
    """What `wg` says of the interface and its peers."""
    dump = subprocess.run(["wg", "show", NAME, "dump"], capture_output=True, text=True, check=True).stdout
    return [line.split("\t") for line in dump.splitlines()]


def as_wg(device: KernelDevice) -> list[list[object]]:
    """The peers as the device reads them, in `wg`'s words."""
    status = device.read_status()
    return sorted(
        [key.hex(), each.endpoint or "(none)", sorted(each.allowed), each.last_handshake]
        for key, each in status.peers.items()
    )


def main() -> None:
    device = KernelDevice(NAME)
    try:
        device.read_status()
        missing = ""
    except WireguardUnavailable as error:
        missing = str(error)
    subprocess.run(["ip", "link", "add", NAME, "type", "wireguard"], check=True)
    fresh = device.read_status()
    wanted = [peer(number) for number in range(COUNT)]
    private = bytes([8]) * 31 + b"\x40"
    device.apply_change(DeviceChange(private_key=private, listen_port=51999, set_peers=tuple(wanted)))
    status, first = device.read_status(), shown()
    found = {"fresh": fresh.public_key is None and not fresh.peers, "missing": missing, "wg": first}
    found |= {"read": as_wg(device), "port": status.listen_port, "public": (status.public_key or b"").hex()}
    change = compare_peers(status, wanted[10:])
    found["kept"] = not change.set_peers and len(change.remove_peers) == 10
    device.apply_change(change)
    found["left"] = len(shown()) - 1
    moved = WireguardPeer(wanted[10].public_key, ("10.99.0.0/24",))
    device.apply_change(compare_peers(device.read_status(), [moved, *wanted[11:]]))
    found["moved"] = [row[3] for row in shown()[1:] if row[3].startswith("10.99")]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
