"""Make the test vectors from fixed inputs: `python tests/vectors/generate.py` writes the JSON files beside it.

Each holds every input, message and key of one exchange, in hexadecimal, and the first records.
"""

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from smkex.core.certificate import EdgeCertificate, fingerprint
from smkex.core.client_handshake import ClientHandshake
from smkex.core.config import ClientConfig, ClientEntropy, LongTermKey, ServerConfig
from smkex.core.control import Control, ControlSealer
from smkex.core.frame import FrameType
from smkex.core.messages import Aead, Endpoint, Mode, Observation, ServerNonce
from smkex.core.record import EpochKeys, seal
from smkex.core.server_handshake import ServerHandshake

FOLDER = Path(__file__).parent
KEY_LENGTH = {Aead.AES_128_GCM: 16, Aead.CHACHA20_POLY1305: 32}


FLEET_KEY, LONG_TERM_KEY = bytes(range(160, 192)), bytes(range(192, 224))
NOT_BEFORE, NOW, NOT_AFTER = 1_700_000_000, 1_700_500_000, 1_702_592_000


def long_term() -> LongTermKey:
    """The edge's key of mode tofu and its certificate (Ed25519 signatures are deterministic, RFC 8032)."""
    share = X25519PrivateKey.from_private_bytes(LONG_TERM_KEY).public_key().public_bytes_raw()
    fleet = Ed25519PrivateKey.from_private_bytes(FLEET_KEY)
    return LongTermKey(LONG_TERM_KEY, EdgeCertificate.issue(fleet, 7, share, NOT_BEFORE, NOT_AFTER))


def make(mode: Mode, aead: Aead) -> dict[str, Any]:
    """Run one exchange with inputs that are all different."""
    certified = long_term() if mode is Mode.TOFU else None
    entropy = ClientEntropy(bytes(range(16)), bytes(range(32, 64)), bytes(range(64, 96)))
    private_key, nonce = bytes(range(96, 128)), bytes(range(128, 160))
    cellular = Observation(7, Endpoint(ip_address("198.51.100.10"), 40000))
    wifi = Observation(9, Endpoint(ip_address("192.0.2.20"), 50000))
    client = ClientHandshake(
        ClientConfig(server_name="cdn.example", modes=(mode,), aeads=(aead,), now=NOW), entropy
    )
    server = ServerHandshake(
        ServerConfig(edge_id=7, modes=(mode,), long_term=certified),
        client.client_share,
        cellular,
        private_key,
    )
    client.receive(0, FrameType.SERVER_SHARE, server.server_share)
    answer = server.receive_nonce(1, client.client_nonce, wifi, nonce)
    client.receive(1, FrameType.SERVER_NONCE, answer)
    for path in (0, 1):
        server.receive_finished(path, client.finished(path))
    keys = client.established.keys
    lengths = {"server mac": 32, "client finished": 32, "server ready": 32}
    for who in ("client", "server"):
        for what in ("data 0", "data 1", "control 0", "control 1"):
            lengths |= {f"{who} {what} key": KEY_LENGTH[aead], f"{who} {what} iv": 12}
    return {
        "mode": mode.name,
        "aead": aead.name,
        "inputs": {
            "session_id": entropy.session_id.hex(),
            "client_private_key": entropy.private_key.hex(),
            "client_nonce": entropy.nonce.hex(),
            "server_private_key": private_key.hex(),
            "server_nonce": nonce.hex(),
            "server_name": "cdn.example",
            "edge_id": 7,
            **(_tofu_inputs() if certified else {}),
            "observed": [[7, "198.51.100.10", 40000], [9, "192.0.2.20", 50000]],
        },
        "messages": {
            "client_share": client.client_share.hex(),
            "server_share": server.server_share.hex(),
            "client_nonce": client.client_nonce.hex(),
            "server_nonce": answer.hex(),
            "finished_0": client.finished(0).hex(),
            "finished_1": client.finished(1).hex(),
        },
        "binding": ServerNonce.parse(answer).binding.hex(),
        "th": keys.th.hex(),
        "keys": {purpose: keys.expand(purpose, length).hex() for purpose, length in lengths.items()},
        "records": {
            "client 0 'hello'": seal(EpochKeys(keys, "client"), 0, b"hello").frame.hex(),
            "server 0 'world'": seal(EpochKeys(keys, "server"), 0, b"world").frame.hex(),
            "server 1<<34 'epoch 1'": seal(EpochKeys(keys, "server"), 1 << 34, b"epoch 1").frame.hex(),
            "client control on path 1: acknowledge 5, limit 1000": ControlSealer(keys, "client", 1)
            .seal(Control(5, 1000))
            .hex(),
        },
    }


def _tofu_inputs() -> dict[str, Any]:
    return {
        "fleet_private_key": FLEET_KEY.hex(),
        "edge_long_term_private_key": LONG_TERM_KEY.hex(),
        "not_before": NOT_BEFORE,
        "not_after": NOT_AFTER,
        "now": NOW,
        "fleet_fingerprint": fingerprint(long_term().certificate.fleet_key),
    }


def files() -> dict[Path, str]:
    return {
        FOLDER / f"{mode.name}-{aead.name}.json".lower().replace("_", "-"): json.dumps(
            make(mode, aead), indent=1
        )
        + "\n"
        for mode in (Mode.OPPORTUNISTIC, Mode.TOFU)  # TLS is OpenSSL's to be random in
        for aead in Aead
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
