"""Sealing and opening a stream through two sessions in memory beside the bare AEAD on the same sizes."""

import os
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.measurement.pairs import compare_pairs
from benchmarks.measurement.result import Measured
from smkex.core.events import DataReceived
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.session.session import Session
from smkex.core.wire.frame import RECORD_DATA_LIMIT
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Aead, Mode

SIZE = 32 << 20
BLOCK = 256 << 10


def measure() -> list[Measured]:
    return [
        compare_pairs(
            "records, sealed and opened",
            "GB/s",
            _time_session,
            "AES-128-GCM alone",
            _time_bare,
            pairs=9,
            better="higher",
        )
    ]


def _time_session() -> float:
    data = os.urandom(BLOCK)
    client, server = (
        Session(KeySchedule(Mode.OPPORTUNISTIC, Aead.AES_128_GCM, [bytes(32)], bytes(32)), role)
        for role in ("client", "server")
    )
    client.add_path(0, FrameReader(), 0.0, 0.0)
    server.add_path(0, FrameReader(), 0.0, 0.0)
    received = 0
    started = time.perf_counter()
    for _ in range(SIZE // BLOCK):
        server.write(data)
        while frame := server.data_to_send(0, 0.0):
            for event in client.receive(0, frame, 0.0):
                if isinstance(event, DataReceived):
                    received += len(event.data)
                    client.consume(len(event.data))
        while frame := client.data_to_send(0, 0.0):
            server.receive(0, frame, 0.0)
    assert received == SIZE
    return SIZE / (time.perf_counter() - started) / 1e9


def _time_bare() -> float:
    data, cipher = os.urandom(RECORD_DATA_LIMIT), AESGCM(bytes(16))
    started = time.perf_counter()
    for number in range(SIZE // RECORD_DATA_LIMIT):
        nonce = number.to_bytes(12, "big")
        cipher.decrypt(nonce, cipher.encrypt(nonce, data, None), None)
    return SIZE / (time.perf_counter() - started) / 1e9
