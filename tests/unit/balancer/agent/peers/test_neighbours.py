"""Who probes whom, which answers of an agent count, and when an edge knows that it is cut off."""

import asyncio
import base64
import contextlib
import gzip
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from free_ports import free_port

from balancer.agent.peers import peer_answer, peer_watch
from balancer.agent.peers.neighbours import PEER_COUNT, peers_of
from balancer.agent.peers.peer_answer import PeerEndpoint
from balancer.agent.peers.peer_watch import BODY_LIMIT, PeerMonitor, is_peer_address
from balancer.agent.peers.signed_answer import LABEL, NONCE_BYTES, ForgedAnswer, PeerAnswer, verify_answer
from balancer.model.table import ForwardingTable, TableEdge

KEYS = {number: Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(1, 10)}


def edge(edge_id: int, tunnel: str = "127.0.0.1", outside: str | None = None) -> TableEdge:
    """An edge of the table, with its key."""
    key = KEYS[edge_id].public_key().public_bytes_raw() if edge_id in KEYS else bytes(32)
    name = f"edge{edge_id}"
    return TableEdge(edge_id, name, tunnel, None, peer_key=base64.b64encode(key).decode(), outside=outside)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 100])
def test_every_edge_has_as_many_probers_as_it_probes(count: int) -> None:
    table = ForwardingTable(1, (), tuple(edge(n) for n in range(1, count + 1)))
    probed = {each.id: [peer.id for peer in peers_of(each.id, table)] for each in table.edges}
    assert all(own not in others for own, others in probed.items())
    probers = Counter(other for others in probed.values() for other in others)
    assert set(probers.values()) == {min(PEER_COUNT, count - 1)}


def test_an_edge_that_the_table_does_not_hold_probes_no_edge() -> None:
    assert peers_of(7, ForwardingTable(1, (), (edge(1),))) == ()
    assert peers_of(1, ForwardingTable(1, (), (edge(1),))) == ()


def on_loopback(address: IPv4Address | IPv6Address) -> bool:
    return address.is_loopback


Responder = Callable[[bytes], dict[str, Any] | None]


def signing(answer: PeerAnswer, key: Ed25519PrivateKey | None = None) -> Responder:
    """Answer with this, signed by the edge's own key or another one."""
    return lambda nonce: answer.sign(key or KEYS[answer.edge_id], nonce)


def good_answer(edge_id: int, *, announcing: bool = True, cut_off: bool = False) -> PeerAnswer:
    return PeerAnswer(edge_id, 12, announcing, cut_off)


@contextlib.asynccontextmanager
async def answering(respond: Responder, port: int, *addresses: str) -> AsyncIterator[None]:
    task = asyncio.create_task(PeerEndpoint(addresses, port, respond).run())
    async with asyncio.timeout(5):
        for address in addresses:
            while True:
                with contextlib.suppress(OSError):
                    (await asyncio.open_connection(address, port))[1].close()
                    break
                await asyncio.sleep(0.01)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def raw_server(make: Callable[[bytes], bytes], port: int) -> AsyncIterator[list[bytes]]:
    """A server that answers each question with the bytes that `make` returns; the questions."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(make(asked[-1]))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.2", port)
    yield asked
    server.close()


def with_head(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def nonce_of(question: bytes) -> bytes:
    found = re.match(rb"GET /peer/([0-9a-f]{64}) HTTP/1.1\r\n", question)
    assert found, question
    return bytes.fromhex(found[1].decode())


async def test_a_peer_is_asked_over_the_backbone_and_from_outside_where_the_table_says() -> None:
    port = free_port()
    watch = PeerMonitor(port, accepts=on_loopback)
    async with answering(signing(good_answer(2)), port, "127.0.0.2", "127.0.0.3"):
        await watch.check_peers((edge(2, "127.0.0.2"),))
        assert (watch.statuses[2].backbone, watch.statuses[2].outside) == (True, None)
        await watch.check_peers((edge(2, "127.0.0.2", "127.0.0.3"),))
        assert (watch.statuses[2].backbone, watch.statuses[2].outside) == (True, True)
        assert watch.statuses[2].generation == 12
        assert not watch.cut_off


async def test_an_edge_is_cut_off_when_no_peer_answers_twice_and_finds_who_stands_in() -> None:
    port = free_port()
    watch = PeerMonitor(port, accepts=on_loopback)
    peers = edge(2, "127.0.0.2", "127.0.0.3"), edge(3, "127.0.0.4")
    said = good_answer(2)

    def respond(nonce: bytes) -> dict[str, Any]:
        return said.sign(KEYS[2], nonce)

    async with answering(respond, port, "127.0.0.2", "127.0.0.3"):
        await watch.check_peers(peers)
        assert not watch.cut_off
    async with answering(respond, port, "127.0.0.3"):  # its tunnel address is cut
        await watch.check_peers(peers)
        assert not watch.cut_off, "once is bad luck"
        await watch.check_peers(peers)
        assert watch.cut_off
        assert watch.stand_in() == 2
        said = good_answer(2, cut_off=True)
        await watch.check_peers(peers)
        assert watch.stand_in() is None, "the backbone is away as a whole: no edge withdraws"
        said = good_answer(2, announcing=False)
        await watch.check_peers(peers)
        assert watch.stand_in() is None
    await watch.check_peers(peers)
    assert watch.stand_in() is None, "no peer answers from outside either"


async def test_a_peer_without_a_key_in_the_table_is_not_asked() -> None:
    port = free_port()
    watch = PeerMonitor(port, accepts=on_loopback)
    without = TableEdge(2, "edge2", "127.0.0.2", None, outside="127.0.0.2")
    async with raw_server(lambda _: b"", port) as asked:
        for _ in range(3):
            await watch.check_peers((without,))
    assert asked == []
    assert (watch.statuses[2].backbone, watch.statuses[2].outside, watch.cut_off) == (None, None, False)


def unsigned(nonce: bytes) -> dict[str, Any]:
    return {"edge_id": 2, "generation": 12, "announcing": True, "cut_off": False}


class Replayed:
    """The answer to the first question, again and again."""

    first: dict[str, Any] | None = None

    def __call__(self, nonce: bytes) -> dict[str, Any]:
        self.first = self.first or good_answer(2).sign(KEYS[2], bytes(NONCE_BYTES))
        return self.first


@pytest.mark.parametrize(
    "respond",
    [
        pytest.param(signing(good_answer(9)), id="another edge at the address"),
        pytest.param(signing(good_answer(2), KEYS[9]), id="another edge's signature"),
        pytest.param(signing(good_answer(9), KEYS[2]), id="in another edge's name"),
        pytest.param(unsigned, id="unsigned"),
        pytest.param(Replayed(), id="an answer to another nonce"),
        pytest.param(lambda n: good_answer(2).sign(KEYS[2], n[::-1]), id="a reversed nonce"),
        pytest.param(lambda n: good_answer(2).sign(KEYS[2], n) | {"cut_off": True}, id="other health"),
        pytest.param(lambda n: good_answer(2).sign(KEYS[2], n) | {"generation": 13}, id="another generation"),
        pytest.param(lambda n: good_answer(2).sign(KEYS[2], n) | {"announcing": 1}, id="a number for a flag"),
        pytest.param(lambda n: good_answer(2).sign(KEYS[2], n) | {"signature": "x"}, id="no base64"),
        pytest.param(lambda n: good_answer(2).sign(KEYS[2], n) | {"signature": 7}, id="no text"),
    ],
)
async def test_what_the_peer_has_not_signed_for_this_question_is_no_answer(respond: Responder) -> None:
    port = free_port()
    watch = PeerMonitor(port, accepts=on_loopback)
    async with answering(respond, port, "127.0.0.2", "127.0.0.3"):
        for _ in range(2):
            await watch.check_peers((edge(2, "127.0.0.2", "127.0.0.3"),))
    status = watch.statuses[2]
    assert (status.backbone, status.outside, status.serves, status.generation) == (False, False, False, None)


async def test_an_answer_that_was_recorded_does_not_count_again() -> None:
    port = free_port()
    watch, peer = PeerMonitor(port, accepts=on_loopback), edge(2, "127.0.0.2")
    recorded: list[bytes] = []

    def respond(question: bytes) -> bytes:
        if not recorded:
            signed = good_answer(2).sign(KEYS[2], nonce_of(question))
            recorded.append(with_head(json.dumps(signed).encode()))
        return recorded[0]

    async with raw_server(respond, port) as asked:
        await watch.check_peers((peer,))
        assert watch.statuses[2].backbone is True
        for _ in range(2):
            await watch.check_peers((peer,))
    assert watch.statuses[2].backbone is False
    assert len({nonce_of(question) for question in asked}) == 3, "a nonce for each question"


def test_the_signature_is_for_peers_alone() -> None:
    """A key that also signs something else for a question of the same bytes gives no answer."""
    nonce = bytes(NONCE_BYTES)
    answer = good_answer(2)
    key = base64.b64encode(KEYS[2].public_key().public_bytes_raw()).decode()
    assert verify_answer(answer.sign(KEYS[2], nonce), 2, key, nonce) == answer
    unlabelled = KEYS[2].sign(answer._signed_bytes(nonce).removeprefix(LABEL))
    forged = answer.sign(KEYS[2], nonce) | {"signature": base64.b64encode(unlabelled).decode()}
    with pytest.raises(ForgedAnswer):
        verify_answer(forged, 2, key, nonce)


@pytest.mark.parametrize("body", [b"[]", b"{}", b"no JSON", b'{"edge_id": 2}', b"9" * 5000, b"[" * 4000])
async def test_an_answer_that_makes_no_sense_is_none(body: bytes) -> None:
    port = free_port()
    watch = PeerMonitor(port, accepts=on_loopback)
    async with raw_server(lambda _: with_head(body), port):
        for _ in range(2):
            await watch.check_peers((edge(2, "127.0.0.2"),))
    assert watch.statuses[2].backbone is False


async def test_who_says_nothing_or_too_much_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_answer, "TIMEOUT", 0.05)
    port = free_port()
    questions = (b"/other", b"/peer", b"/peer/", b"/peer/00", b"/peer/" + b"0" * 65, b"/peer/" + b"g" * 64)
    async with answering(signing(good_answer(1)), port, "127.0.0.2"):
        for said in (b"", b"x" * 5000, *(b"GET %b HTTP/1.1\r\n\r\n" % each for each in questions)):
            reader, writer = await asyncio.open_connection("127.0.0.2", port)
            writer.write(said)
            answer = b""
            with contextlib.suppress(ConnectionError):
                answer = await asyncio.wait_for(reader.read(), 5)
            assert b"signature" not in answer
            writer.close()


async def test_a_node_that_has_not_enrolled_answers_no_peer() -> None:
    port = free_port()
    watch = PeerMonitor(port, accepts=on_loopback)
    async with answering(lambda nonce: None, port, "127.0.0.2"):
        for _ in range(2):
            await watch.check_peers((edge(2, "127.0.0.2"),))
    assert watch.statuses[2].backbone is False


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x"])
async def test_an_encoded_answer_is_none_and_is_not_decoded(encoding: str) -> None:
    body = gzip.compress(b" " * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n"
    port = free_port()
    watch = PeerMonitor(port, accepts=on_loopback)
    async with raw_server(lambda _: head % (encoding.encode(), len(body)) + body, port) as asked:
        for _ in range(2):
            await watch.check_peers((edge(2, "127.0.0.2"),))
    assert watch.statuses[2].backbone is False
    assert b"accept-encoding: identity" in asked[0].lower()


async def test_an_endless_answer_is_not_read_on() -> None:
    sent, ended = 0, asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while sent < 64 << 20:
                writer.write(b" " * 65536)
                await writer.drain()
                sent += 65536
        ended.set()

    server = await asyncio.start_server(answer, "127.0.0.2", port := free_port())
    watch = PeerMonitor(port, accepts=on_loopback)
    await watch.check_peers((edge(2, "127.0.0.2"),))
    await asyncio.wait_for(ended.wait(), 10)
    server.close()
    assert watch.statuses[2].failures[0] == 1
    assert BODY_LIMIT < sent < 64 << 20


async def test_a_peer_that_answers_too_late_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_watch, "TIMEOUT", 0.05)
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()  # until the agent has hung up
        writer.close()
        ended.set()

    server = await asyncio.start_server(answer, "127.0.0.2", port := free_port())
    watch = PeerMonitor(port, accepts=on_loopback)
    await watch.check_peers((edge(2, "127.0.0.2"),))
    await asyncio.wait_for(ended.wait(), 10)
    server.close()
    assert watch.statuses[2].failures[0] == 1


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "169.254.169.254",
        "fe80::1",
        "255.255.255.255",
        "240.0.0.1",
        "::ffff:169.254.169.254",
    ],
)
def test_an_address_that_does_not_lead_to_another_host_is_never_asked(address: str) -> None:
    assert not is_peer_address(ip_address(address))


@pytest.mark.parametrize("address", ["10.255.0.2", "192.0.2.7", "2001:db8::1", "fd00::1", "8.8.8.8"])
def test_other_unicast_addresses_are_asked(address: str) -> None:
    assert is_peer_address(ip_address(address))


@pytest.mark.parametrize("outside", [None, "192.0.2.7", "127.0.0.1"])
async def test_only_addresses_of_the_table_are_asked_whatever_a_peer_answers(
    monkeypatch: pytest.MonkeyPatch, outside: str | None
) -> None:
    watch, asked = PeerMonitor(8444), []

    async def fetch(url: str, limit: int) -> dict[str, Any]:
        asked.append(url.rpartition("/")[0])
        nonce = bytes.fromhex(url.rpartition("/")[2])
        return good_answer(2).sign(KEYS[2], nonce) | {"outside": "198.51.100.9", "tunnel_v4": "198.51.100.9"}

    monkeypatch.setattr(peer_watch, "fetch_object", fetch)
    for _ in range(3):
        await watch.check_peers((edge(2, "10.255.0.2", outside),))
    assert watch.statuses[2].backbone is True
    expected = {"http://10.255.0.2:8444/peer"}
    assert set(asked) == expected | ({"http://192.0.2.7:8444/peer"} if outside == "192.0.2.7" else set())
