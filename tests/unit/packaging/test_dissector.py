"""The Wireshark dissector opens a recording with a key log, and shows no stream without one."""

import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from exchanges import CELLULAR, WIFI, Exchange
from scapy.all import IP, TCP, Ether, wrpcap

from smkex.client.recording.key_log import KeyLog
from smkex.core.handshake.config import ClientConfig
from smkex.core.handshake.join import Join, JoinAcceptor, JoinInitiator
from smkex.core.keys.epoch_chain import EPOCH_LENGTH
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.session.session import Session
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Aead

pytestmark = pytest.mark.needs("tshark")
DISSECTOR = Path(__file__).parents[3] / "packaging" / "wireshark" / "sennit.lua"
SEGMENT = 700  # bytes: shares and records span several segments
EDGE = "203.0.113.1"
MAC = "02:00:00:00:00:01"
Said = tuple[str, int, bytes]  # sender, path, bytes


def record_exchange(exchange: Exchange) -> Iterator[Said]:
    """A key exchange, records of both directions over an epoch's end, control messages, and a join."""
    exchange.run()
    for name, sender, path in (
        ("client_share", "client", 0),
        ("server_share", "server", 0),
        ("client_nonce", "client", 1),
        ("server_nonce", "server", 1),
        ("finished_0", "client", 0),
        ("finished_1", "client", 1),
    ):
        yield sender, path, exchange.wire[name]
    client, server = exchange.client.established.keys, exchange.server.established.keys
    initiator = JoinInitiator(client, exchange.server.session_id, 2, bytes(32))
    acceptor = JoinAcceptor(server, Join.parse(initiator.join), WIFI, bytes(32))
    response, joined, _ = initiator.answer_challenge(acceptor.challenge)
    yield from (("client", 2, initiator.join), ("server", 2, acceptor.challenge), ("client", 2, response))
    start = EPOCH_LENGTH - 20
    ends = {
        "client": Session(client, "client", scheduler=Scheduler.REDUNDANT, start=start),
        "server": Session(server, "server", start=start),
    }
    for end in ends.values():
        for path in (0, 1, 2):
            end.add_path(path, FrameReader(), 0.01, 0.0, joined if path == 2 else b"")
    yield from converse(ends, "client", b"GET /the-question HTTP/1.1\r\n\r\n")
    yield from converse(ends, "client", b"behind the epoch's end")
    ends["client"].request_step(0.1)
    yield from converse(ends, "client", b"as a step is made")
    yield from converse(ends, "client", b"under the keys of a step")
    yield from converse(ends, "server", b"HTTP/1.1 200 OK\r\n\r\n" + b"the answer " * 200)


def converse(ends: dict[str, Session], writer: str, data: bytes) -> Iterator[Said]:
    ends[writer].write(data)
    for now in (0.0, 0.1, 0.1, 0.1, 0.1):
        for sender, receiver in (("client", "server"), ("server", "client")):
            for path in (0, 1, 2):
                while frame := ends[sender].data_to_send(path, now):
                    ends[receiver].receive(path, frame, now)
                    yield sender, path, frame


def write_capture(file: Path, said: Iterator[Said]) -> None:
    """One TCP connection a path, in segments, as a capture has them."""
    sequences: dict[tuple[str, int], int] = {}
    packets = []
    for sender, path, data in said:
        client = (str((CELLULAR, WIFI)[path % 2].client.address), 40_000 + path)
        edge = (EDGE, 443 if path == 0 else 10_007)
        (source, sport), (target, dport) = (client, edge) if sender == "client" else (edge, client)
        peer = "server" if sender == "client" else "client"
        for begin, end in pairwise([*range(0, len(data), SEGMENT), len(data)]):
            sequence = sequences.setdefault((sender, path), 1000)
            head = TCP(
                sport=sport, dport=dport, flags="PA", seq=sequence, ack=sequences.get((peer, path), 1000)
            )
            packets.append(Ether(src=MAC, dst=MAC) / IP(src=source, dst=target) / head / data[begin:end])
            sequences[sender, path] += end - begin
    wrpcap(str(file), packets)


def dissect(capture: Path, keys: Path | None, *fields: str) -> list[list[str]]:
    """The fields of each packet, all values of each in one text."""
    command = ["tshark", "-X", f"lua_script:{DISSECTOR}", "-o", "tcp.try_heuristic_first:TRUE"]
    command += ["-o", f"sennit.key_log:{keys}"] if keys is not None else []
    command += ["-r", str(capture), "-T", "fields", *(word for field in fields for word in ("-e", field))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "sennit.lua" not in done.stderr, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("aead", Aead)
def test_a_recording_is_opened_with_its_key_log(tmp_path: Path, aead: Aead) -> None:
    log = KeyLog(tmp_path / "keys")
    config = ClientConfig(aeads=(aead,), key_log=log.log_key)
    exchange = Exchange(config=config)
    write_capture(tmp_path / "capture.pcap", record_exchange(exchange))
    log.close()
    rows = dissect(
        tmp_path / "capture.pcap",
        tmp_path / "keys",
        "sennit.type",
        "sennit.data",
        "sennit.waited",
        "sennit.step_kind",
    )
    types = {int(kind) for row in rows for kind in row[0].split(",") if kind}
    assert types == {1, 2, 3, 4, 5, 8, 9, 10, 16, 17, 18, 19}
    data = b"".join(bytes.fromhex(value) for row in rows for value in row[1].split(",") if value)
    assert b"GET /the-question HTTP/1.1" in data
    assert b"behind the epoch's end" in data
    assert b"as a step is made" in data
    assert b"under the keys of a step" in data
    assert {kind for row in rows for kind in row[3].split(",") if kind} == {"1", "2", "3", "4", "5"}
    assert data.count(b"the answer") >= 200
    assert any(row[2] for row in rows)


def test_shares_groups_and_names_are_shown_and_without_keys_no_stream(tmp_path: Path) -> None:
    exchange = Exchange(config=ClientConfig(server_name="cdn.example"))
    write_capture(tmp_path / "capture.pcap", record_exchange(exchange))
    fields = ("sennit.session_id", "sennit.group", "sennit.server_name", "sennit.edge_id", "sennit.data")
    rows = dissect(tmp_path / "capture.pcap", None, *fields)
    found = [{value for row in rows for value in row[n].split(",") if value} for n in range(len(fields))]
    assert found[0] == {exchange.server.session_id.hex()}
    assert found[1] == {"0x11ec", "0x001d"}
    assert found[2:4] == [{"cdn.example"}, {"7"}]
    assert found[4] == set()
