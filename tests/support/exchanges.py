"""Handshakes between both cores with fixed randomness, and hands that tamper with what is sent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ClientConfig, ClientEntropy, ServerConfig
from smkex.core.handshake.server import ServerHandshake
from smkex.core.wire.frame import FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Endpoint, Observation

CELLULAR = Observation(7, Endpoint(ip_address("198.51.100.10"), 40000))
WIFI = Observation(9, Endpoint(ip_address("192.0.2.20"), 50000))
Tamper = Callable[[str, bytes], bytes]


def entropy(seed: int = 1) -> ClientEntropy:
    return ClientEntropy(
        bytes([seed]) * 16, bytes([seed + 1]) * 32, bytes([seed + 2]) * 32, bytes([seed + 3]) * 64
    )


def only_frame(data: bytes) -> tuple[FrameType, bytes]:
    """Read exactly one frame; what is cut short never comes, as on a connection that waits."""
    reader = FrameReader()
    reader.feed(data)
    frames = list(reader.frames())
    if len(frames) != 1:
        raise TimeoutError("the frame never becomes whole")
    return frames[0]


@dataclass
class Exchange:
    """One handshake, driven message by message through `tamper(name, frame)`."""

    tamper: Tamper = lambda name, frame: frame
    config: ClientConfig = field(default_factory=ClientConfig)
    wifi: Observation = WIFI
    server_config: ServerConfig = field(default_factory=lambda: ServerConfig(edge_id=7))
    wire: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = ClientHandshake.begin(self.config, entropy())
        self.server: ServerHandshake

    def _carry(self, name: str, frame: bytes) -> tuple[FrameType, bytes]:
        self.wire[name] = frame
        return only_frame(self.tamper(name, frame))

    def run(self) -> None:
        _, share = self._carry("client_share", self.client.client_share)
        self.server = ServerHandshake.answer_client_share(
            self.server_config, share, CELLULAR, bytes([9]) * 32
        )
        self.client.receive(0, *self._carry("server_share", self.server.server_share))
        _, nonce = self._carry("client_nonce", self.client.client_nonce)
        if nonce[4:20] != self.server.session_id:
            raise TimeoutError("the nonce finds no session")
        answer = self.server.receive_nonce(1, nonce, self.wifi, bytes([8]) * 32)
        self.client.receive(1, *self._carry("server_nonce", answer))
        for path in (0, 1):
            kind, frame = self._carry(f"finished_{path}", self.client.finished(path))
            assert kind is FrameType.FINISHED
            self.server.receive_finished(path, frame)
