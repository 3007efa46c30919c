"""The Wireshark dissector opens a recording with a key log, and shows no stream without one."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from dissector import dissect
from exchanges import CELLULAR, WIFI, Exchange
from name_keys import NEW, OLD, long_term
from scapy.all import IP, TCP, Ether, wrpcap

from smkex.client.recording.key_log import KeyLog
from smkex.core.handshake.config import ClientConfig, ServerConfig
from smkex.core.handshake.join import Join, JoinAcceptor, JoinInitiator
from smkex.core.keys.epoch_chain import EPOCH_LENGTH
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.session.session import Session
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Aead, ClientShare, Mode

pytestmark = pytest.mark.needs("tshark")
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


def test_a_sealed_name_and_the_name_key_that_answers_are_shown(tmp_path: Path) -> None:
    now = int(time.time())
    config = ClientConfig("cdn.example", (Mode.TOFU,), now=now, name_key=OLD.signed)
    edge = ServerConfig(7, (Mode.TOFU,), long_term=long_term(), name_keys=(NEW, OLD))
    exchange = Exchange(config=config, server_config=edge)
    write_capture(tmp_path / "capture.pcap", record_exchange(exchange))
    rows = dissect(
        tmp_path / "capture.pcap", None, "sennit.sealed_name", "sennit.name_key", "sennit.server_name"
    )
    sealed, given, clear = ([row[n] for row in rows if row[n]] for n in range(3))
    share = ClientShare.parse(exchange.wire["client_share"])
    assert sealed == [(share.sealed_name or b"").hex()]
    assert given == [NEW.signed.encode().hex()]
    assert clear == []
