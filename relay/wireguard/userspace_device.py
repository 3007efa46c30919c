"""WireGuard in userspace: the control socket of wireguard-go (wireguard.com/xplatform)."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from relay.wireguard.device import (
    DeviceChange,
    DeviceStatus,
    PeerActivity,
    WireguardPeer,
    WireguardUnavailable,
)
from relay.wireguard.keys import derive_public_key
from smkex.transport.routes.target import format_endpoint

SOCKETS = Path("/var/run/wireguard")  # one folder for all network namespaces
TIMEOUT = 5.0  # seconds for an answer
ANSWER_LIMIT = 4 << 20  # bytes: a thousand peers take a fifth of it


def control_socket(name: str) -> Path:
    """Return where wireguard-go listens for an interface."""
    return SOCKETS / f"{name}.sock"


class UserspaceDevice:
    """An interface of a running wireguard-go."""

    implementation = "wireguard-go"

    def __init__(self, name: str) -> None:
        self.name = name

    def read_status(self) -> DeviceStatus:
        """Return keys, port and peers. Raises `WireguardUnavailable`."""
        own: dict[str, str] = {}
        peers: list[tuple[dict[str, str], set[str]]] = []
        for key, value in _parse_answer(self._ask("get=1\n\n")):
            if key == "public_key":
                peers.append(({key: value}, set()))
            elif key == "allowed_ip":
                peers[-1][1].add(value)
            else:
                (peers[-1][0] if peers else own)[key] = value
        private_key = bytes.fromhex(own.get("private_key", ""))
        return DeviceStatus(
            derive_public_key(private_key) if any(private_key) else None,
            int(own.get("listen_port", 0)),
            {
                bytes.fromhex(facts["public_key"]): PeerActivity(
                    frozenset(allowed),
                    facts.get("endpoint"),
                    int(facts.get("last_handshake_time_sec", 0)),
                    int(facts.get("rx_bytes", 0)),
                    int(facts.get("tx_bytes", 0)),
                )
                for facts, allowed in peers
            },
        )

    def apply_change(self, change: DeviceChange) -> None:
        """Configure the interface. Raises `WireguardUnavailable`."""
        lines = ["set=1"]
        if change.private_key is not None:
            lines.append(f"private_key={change.private_key.hex()}")
        if change.listen_port is not None:
            lines.append(f"listen_port={change.listen_port}")
        for key in change.remove_peers:
            lines += [f"public_key={key.hex()}", "remove=true"]
        for peer in change.set_peers:
            lines += _peer_lines(peer)
        self._ask("\n".join([*lines, "", ""]))

    def _ask(self, request: str) -> str:
        answer = b""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
                channel.settimeout(TIMEOUT)
                channel.connect(str(control_socket(self.name)))
                channel.sendall(request.encode())
                while not answer.endswith(b"\n\n") and len(answer) < ANSWER_LIMIT:
                    data = channel.recv(1 << 16)
                    if not data:
                        break
                    answer += data
        except PermissionError:
            raise WireguardUnavailable(f"{self.name}: not permitted", "run as root") from None
        except OSError as error:
            raise WireguardUnavailable(
                f"{self.name}: wireguard-go does not answer: {error.strerror or error}"
            ) from None
        text = answer.decode("ascii", "replace")
        number = dict(_parse_answer(text)).get("errno", "missing")
        if number != "0":
            reason = os.strerror(abs(int(number))) if number.lstrip("-").isdecimal() else "no whole answer"
            raise WireguardUnavailable(f"{self.name}: wireguard-go refused the request: {reason}")
        return text


def _parse_answer(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            yield key, value


def _peer_lines(peer: WireguardPeer) -> list[str]:
    lines = [f"public_key={peer.public_key.hex()}"]
    if peer.endpoint is not None:
        address, port = peer.endpoint
        lines.append(f"endpoint={format_endpoint(str(address), port)}")
    lines += [f"persistent_keepalive_interval={peer.keepalive}", "replace_allowed_ips=true"]
    return lines + [f"allowed_ip={ipaddress.ip_network(prefix)}" for prefix in peer.allowed]
