"""Who probes whom, what an agent answers, and when an edge knows that it is cut off."""

import asyncio
import contextlib
import gzip
from collections import Counter
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from free_ports import free_port

from balancer.agent.peers import peer_answer, peer_watch
from balancer.agent.peers.neighbours import PEER_COUNT, peers_of
from balancer.agent.peers.peer_answer import PeerEndpoint
from balancer.agent.peers.peer_watch import BODY_LIMIT, PeerMonitor, is_peer_address
from balancer.model.table import ForwardingTable, TableEdge


def edge(edge_id: int, tunnel: str = "127.0.0.1") -> TableEdge:
    return TableEdge(edge_id, f"edge{edge_id}", tunnel, None)


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


@contextlib.asynccontextmanager
async def answering(facts: dict[str, Any], port: int, *addresses: str) -> AsyncIterator[None]:
    task = asyncio.create_task(PeerEndpoint(addresses, port, lambda: facts).run())
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


def facts(edge_id: int, **more: Any) -> dict[str, Any]:
    return {"edge_id": edge_id, "announcing": True, "cut_off": False, "outside": "127.0.0.3"} | more


async def test_a_peer_is_asked_over_the_backbone_and_then_from_outside() -> None:
    port = free_port()
    watch = PeerMonitor(port, accepts=on_loopback)
    async with answering(facts(2), port, "127.0.0.2", "127.0.0.3"):
        await watch.check_peers((edge(2, "127.0.0.2"),))
        assert (watch.statuses[2].backbone, watch.statuses[2].outside) == (True, None)
        await watch.check_peers((edge(2, "127.0.0.2"),))
        assert (watch.statuses[2].backbone, watch.statuses[2].outside) == (True, True)
        assert not watch.cut_off


async def test_an_edge_is_cut_off_when_no_peer_answers_twice_and_finds_who_stands_in() -> None:
    port = free_port()
    watch, peers = PeerMonitor(port, accepts=on_loopback), (edge(2, "127.0.0.2"), edge(3, "127.0.0.4"))
    said = facts(2)
    async with answering(said, port, "127.0.0.2", "127.0.0.3"):
        await watch.check_peers(peers)
        assert not watch.cut_off
    async with answering(said, port, "127.0.0.3"):  # its tunnel address is cut
        await watch.check_peers(peers)
        assert not watch.cut_off, "once is bad luck"
        await watch.check_peers(peers)
        assert watch.cut_off
        assert watch.stand_in() == 2
        said["cut_off"] = True
        await watch.check_peers(peers)
        assert watch.stand_in() is None, "the backbone is away as a whole: no edge withdraws"
        said.update(cut_off=False, announcing=False)
        await watch.check_peers(peers)
        assert watch.stand_in() is None
    await watch.check_peers(peers)
    assert watch.stand_in() is None, "no peer answers from outside either"


async def test_another_edge_at_the_address_is_no_answer() -> None:
    port = free_port()
    watch = PeerMonitor(port, accepts=on_loopback)
    async with answering(facts(9), port, "127.0.0.2"):
        for _ in range(2):
            await watch.check_peers((edge(2, "127.0.0.2"),))
    assert watch.statuses[2].backbone is False


@pytest.mark.parametrize("body", [b"[]", b"{}", b"no JSON", b'{"edge_id": 2}', b"9" * 5000])
async def test_an_answer_that_makes_no_sense_is_none(body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.2", port := free_port())
    watch = PeerMonitor(port, accepts=on_loopback)
    for _ in range(2):
        await watch.check_peers((edge(2, "127.0.0.2"),))
    server.close()
    assert watch.statuses[2].backbone is False


async def test_who_says_nothing_or_too_much_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_answer, "TIMEOUT", 0.05)
    port = free_port()
    async with answering(facts(1), port, "127.0.0.2"):
        for said in (b"", b"x" * 5000, b"GET /other HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.2", port)
            writer.write(said)
            answer = b""
            with contextlib.suppress(ConnectionError):
                answer = await asyncio.wait_for(reader.read(), 5)
            assert b"edge_id" not in answer
            writer.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x"])
async def test_an_encoded_answer_is_none_and_is_not_decoded(encoding: str) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        body = gzip.compress(b" " * 10_000_000)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n%b"
            % (encoding.encode(), len(body), body)
        )
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.2", port := free_port())
    watch = PeerMonitor(port, accepts=on_loopback)
    for _ in range(2):
        await watch.check_peers((edge(2, "127.0.0.2"),))
    server.close()
    assert watch.statuses[2].backbone is False
    assert b"accept-encoding: identity" in asked[0].lower()


async def test_an_endless_answer_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, ended = 0, asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while sent < 100_000_000:
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
    assert BODY_LIMIT < sent < 100_000_000


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


async def test_a_peer_cannot_make_the_agent_ask_its_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, asked = PeerMonitor(8444), []

    async def fetch(url: str, limit: int) -> dict[str, Any]:
        asked.append(url)
        return facts(2, outside="127.0.0.1")

    monkeypatch.setattr(peer_watch, "fetch_object", fetch)
    for _ in range(3):
        await watch.check_peers((edge(2, "10.255.0.2"),))
    assert set(asked) == {"http://10.255.0.2:8444/peer"}
