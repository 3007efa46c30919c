"""Computation of one whole key exchange (both ends, no network) beside a plain X25519 Diffie-Hellman."""

import os
import time
from ipaddress import ip_address

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from benchmarks.measurement.pairs import compare_pairs
from benchmarks.measurement.result import Measured
from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ENTROPY_LENGTH, ClientConfig, ClientEntropy, ServerConfig
from smkex.core.handshake.server import ServerHandshake
from smkex.core.wire.frame import FrameType
from smkex.core.wire.messages import Endpoint, Observation

ROUNDS = 50


def measure() -> list[Measured]:
    return [
        compare_pairs(
            "key exchange, both ends",
            "ms",
            _time_smkex,
            "X25519 alone",
            _diffie_hellman,
            pairs=15,
            better="lower",
        )
    ]


def _time_smkex() -> float:
    seen = [Observation(n, Endpoint(ip_address(f"192.0.2.{n}"), n)) for n in (1, 2)]
    started = time.perf_counter()
    for _ in range(ROUNDS):
        client = ClientHandshake.begin(ClientConfig(), ClientEntropy.from_bytes(os.urandom(ENTROPY_LENGTH)))
        server = ServerHandshake.answer_client_share(
            ServerConfig(edge_id=1), client.client_share, seen[0], os.urandom(32)
        )
        client.receive(0, FrameType.SERVER_SHARE, server.server_share)
        answer = server.receive_nonce(1, client.client_nonce, seen[1], os.urandom(32))
        client.receive(1, FrameType.SERVER_NONCE, answer)
        for path in (0, 1):
            server.receive_finished(path, client.finished(path))
    return (time.perf_counter() - started) / ROUNDS * 1000


def _diffie_hellman() -> float:
    started = time.perf_counter()
    for _ in range(ROUNDS):
        one, other = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        assert one.exchange(other.public_key()) == other.exchange(one.public_key())
    return (time.perf_counter() - started) / ROUNDS * 1000
