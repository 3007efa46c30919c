"""Computation of one whole key exchange (both ends, no network) beside the bare key agreement of its group."""

import os
import time
from functools import partial
from ipaddress import ip_address

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from benchmarks.measurement.pairs import compare_pairs
from benchmarks.measurement.result import Measured
from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ENTROPY_LENGTH, ClientConfig, ClientEntropy, ServerConfig
from smkex.core.handshake.server import ServerHandshake
from smkex.core.keys.key_agreement import KEM_SEED_LENGTH, ClientKeys, answer_share
from smkex.core.wire.frame import FrameType
from smkex.core.wire.messages import Endpoint, Observation
from smkex.core.wire.named_group import NamedGroup

ROUNDS = 50


def measure() -> list[Measured]:
    return [
        compare_pairs(
            "key exchange, both ends",
            "ms",
            partial(_time_smkex, NamedGroup.X25519),
            "X25519 alone",
            partial(_time_agreement, NamedGroup.X25519),
            pairs=15,
            better="lower",
        ),
        compare_pairs(
            "key exchange with the post-quantum hybrid, both ends",
            "ms",
            partial(_time_smkex, NamedGroup.X25519MLKEM768),
            "X25519MLKEM768 alone",
            partial(_time_agreement, NamedGroup.X25519MLKEM768),
            pairs=15,
            better="lower",
        ),
    ]


def _time_smkex(group: NamedGroup) -> float:
    seen = [Observation(n, Endpoint(ip_address(f"192.0.2.{n}"), n)) for n in (1, 2)]
    started = time.perf_counter()
    for _ in range(ROUNDS):
        entropy = ClientEntropy.from_bytes(os.urandom(ENTROPY_LENGTH))
        client = ClientHandshake.begin(ClientConfig(groups=(group,)), entropy)
        server = ServerHandshake.answer_client_share(
            ServerConfig(edge_id=1), client.client_share, seen[0], os.urandom(32)
        )
        client.receive(0, FrameType.SERVER_SHARE, server.server_share)
        answer = server.receive_nonce(1, client.client_nonce, seen[1], os.urandom(32))
        client.receive(1, FrameType.SERVER_NONCE, answer)
        for path in (0, 1):
            server.receive_finished(path, client.finished(path))
    return (time.perf_counter() - started) / ROUNDS * 1000


def _time_agreement(group: NamedGroup) -> float:
    started = time.perf_counter()
    for _ in range(ROUNDS):
        client = ClientKeys(os.urandom(32), os.urandom(KEM_SEED_LENGTH), (group,))
        share, secret = answer_share(group, client.shares[0][1], X25519PrivateKey.generate())
        assert client.agree(group, share) == secret
    return (time.perf_counter() - started) / ROUNDS * 1000
