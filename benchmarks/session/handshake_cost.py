"""Computation of a server's part of a handshake: SMKEX beside TLS 1.3 by OpenSSL with the same group, in memory.

Neither has a network, a reactor or a response; OpenSSL signs with ECDSA P-256, and its records pass memory buffers.
"""

import os
import tempfile
import time
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from OpenSSL import SSL

from benchmarks.measurement.pairs import compare_pairs
from benchmarks.measurement.result import Measured
from lab.secrets import make_certificates
from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ENTROPY_LENGTH, ClientConfig, ClientEntropy, ServerConfig
from smkex.core.handshake.server import ServerHandshake
from smkex.core.handshake.tls import client_context, server_context
from smkex.core.wire.frame import FrameType
from smkex.core.wire.messages import Endpoint, Observation
from smkex.core.wire.named_group import NamedGroup

ROUNDS = 200
BUFFER = 1 << 17


def measure() -> list[Measured]:
    found: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(Path(folder), server=("cdn.lab",))
        for group in (NamedGroup.X25519MLKEM768, NamedGroup.X25519):
            found.append(
                compare_pairs(
                    f"the server's part of a handshake with {group.name}",
                    "ms",
                    partial(_time_smkex, group),
                    "TLS 1.3 by OpenSSL",
                    partial(_time_tls, group, Path(folder)),
                    pairs=15,
                    better="lower",
                )
            )
    return found


def _time_smkex(group: NamedGroup) -> float:
    """Return milliseconds of the edge's end, from ClientShare to both Finished."""
    seen = [Observation(n, Endpoint(ip_address(f"192.0.2.{n}"), n)) for n in (1, 2)]
    config = ServerConfig(edge_id=1)
    spent = 0.0
    for _ in range(ROUNDS):
        entropy = ClientEntropy.from_bytes(os.urandom(ENTROPY_LENGTH))
        client = ClientHandshake.begin(ClientConfig(groups=(group,)), entropy)
        started = time.perf_counter()
        server = ServerHandshake.answer_client_share(config, client.client_share, seen[0], os.urandom(32))
        answer = server.receive_nonce(1, client.client_nonce, seen[1], os.urandom(32))
        spent += time.perf_counter() - started
        client.receive(0, FrameType.SERVER_SHARE, server.server_share)
        client.receive(1, FrameType.SERVER_NONCE, answer)
        finished = [client.finished(path) for path in (0, 1)]
        started = time.perf_counter()
        for path, frame in enumerate(finished):
            server.receive_finished(path, frame)
        spent += time.perf_counter() - started
    return spent / ROUNDS * 1000


def _time_tls(group: NamedGroup, folder: Path) -> float:
    """Return milliseconds of the server's end, from ClientHello to the client's Finished."""
    trusting = client_context(folder / "ca.pem", (group,))
    serving = server_context(folder / "server.pem", folder / "server.key", (group,))
    spent = 0.0
    for _ in range(ROUNDS):
        client = SSL.Connection(trusting, None)
        client.set_connect_state()
        to_server = _exchange_records(client, b"")
        started = time.perf_counter()
        server = SSL.Connection(serving, None)
        server.set_accept_state()
        to_client = _exchange_records(server, to_server)
        spent += time.perf_counter() - started
        to_server = _exchange_records(client, to_client)
        started = time.perf_counter()
        _exchange_records(server, to_server)
        spent += time.perf_counter() - started
        assert (server.get_group_name() or "").upper() == group.name
    return spent / ROUNDS * 1000


def _exchange_records(end: SSL.Connection, received: bytes) -> bytes:
    """Give an end what the other sent, and return what it sends."""
    if received:
        end.bio_write(received)
    with suppress(SSL.WantReadError):
        end.do_handshake()
    with suppress(SSL.WantReadError):
        return end.bio_read(BUFFER)
    return b""
