"""Paths join and leave a running session; knowing its session id is not enough to join."""

import re
from collections.abc import AsyncIterator
from contextlib import closing

import pytest
from exchanges import WIFI, Exchange
from loopback import SIZE, LoopbackEdge, digest_of, open_channel, read, start, until
from stranger import Stranger

from smkex.client import paths as client_paths
from smkex.client.connection import Connection
from smkex.core import errors
from smkex.core.handshake.join import Join, JoinAcceptor, JoinInitiator
from smkex.core.session.key_steps import ATTEMPT_LIMIT
from smkex.core.session.path_set import MAXIMUM_PATHS
from smkex.core.session.session import Session
from smkex.core.wire.frame import FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import parse_abort
from smkex.server.report import report_session


@pytest.fixture
def exchange() -> Exchange:
    done = Exchange()
    done.run()
    return done


def test_both_ends_of_a_join_agree(exchange: Exchange) -> None:
    keys = exchange.server.established.keys
    initiator = JoinInitiator(exchange.client.established.keys, exchange.server.session_id, 2, b"c" * 32)
    acceptor = JoinAcceptor(keys, Join.parse(initiator.join), WIFI, b"s" * 32)
    response, joined, observed = initiator.answer_challenge(acceptor.challenge)
    acceptor.verify(response)
    assert joined == acceptor.hash
    assert observed == WIFI


def test_a_replayed_join_meets_another_challenge(exchange: Exchange) -> None:
    keys = exchange.server.established.keys
    initiator = JoinInitiator(keys, exchange.server.session_id, 2, b"c" * 32)
    first = JoinAcceptor(keys, Join.parse(initiator.join), WIFI, b"s" * 32)
    response, _, _ = initiator.answer_challenge(first.challenge)
    again = JoinAcceptor(keys, Join.parse(initiator.join), WIFI, b"t" * 32)
    with pytest.raises(errors.FinishedMismatch):
        again.verify(response)


def test_each_byte_of_a_join_counts(exchange: Exchange) -> None:
    """Session id, path, both nonces, observation, both MACs."""
    keys = exchange.server.established.keys
    initiator = JoinInitiator(keys, exchange.server.session_id, 2, b"c" * 32)
    acceptor = JoinAcceptor(keys, Join.parse(initiator.join), WIFI, b"s" * 32)
    response, _, _ = initiator.answer_challenge(acceptor.challenge)
    for at in range(4, len(initiator.join)):
        changed = bytearray(initiator.join)
        changed[at] ^= 4
        other = JoinAcceptor(keys, Join.parse(bytes(changed)), WIFI, b"s" * 32)
        with pytest.raises(errors.MacMismatch):
            initiator.answer_challenge(other.challenge)
        with pytest.raises(errors.FinishedMismatch):
            other.verify(response)
    for at in range(4, len(acceptor.challenge)):
        changed = bytearray(acceptor.challenge)
        changed[at] ^= 4
        with pytest.raises((errors.MacMismatch, errors.MalformedMessage)):
            initiator.answer_challenge(bytes(changed))
    for at in range(4, len(response)):
        changed = bytearray(response)
        changed[at] ^= 4
        with pytest.raises(errors.FinishedMismatch):
            acceptor.verify(bytes(changed))


def test_the_paths_of_the_key_exchange_cannot_be_joined(exchange: Exchange) -> None:
    for path in (0, 1):
        initiator = JoinInitiator(exchange.client.established.keys, bytes(16), path, bytes(32))
        with pytest.raises(errors.MalformedMessage):
            Join.parse(initiator.join)


def test_a_stranger_joins_and_speaks_on_the_new_path() -> None:
    stranger = Stranger(b"s" * 16, b"k" * 32, b"n" * 32, b"")
    done = Exchange()
    from smkex.core.handshake.config import ServerConfig
    from smkex.core.handshake.server import ServerHandshake

    server = ServerHandshake.answer_client_share(
        ServerConfig(edge_id=300), stranger.client_share, WIFI, b"p" * 32
    )
    stranger.receive_server_share(server.server_share)
    assert stranger.receive_server_nonce(server.receive_nonce(1, stranger.client_nonce, done.wifi, b"m" * 32))
    server.receive_finished(1, stranger.finished(1))
    keys = server.established.keys
    acceptor = JoinAcceptor(keys, Join.parse(stranger.join(b"s" * 16, 2, b"j" * 32)), WIFI, b"q" * 32)
    response = stranger.answer_challenge(acceptor.challenge)
    assert response is not None
    acceptor.verify(response)
    session = Session(keys, "server")
    session.add_path(2, FrameReader(), 0.01, 0.0, acceptor.hash)
    ping = b"\5\10" + (9).to_bytes(8, "big")
    session.receive(2, stranger.control(2, 0, ping, join_hash=stranger.join_hash), 0.0)
    assert session.paths == [2]
    assert session.data_to_send(2, 0.0)[0] == FrameType.CONTROL


# --- over real sockets


@pytest.fixture
async def edge() -> AsyncIterator[LoopbackEdge]:
    async with LoopbackEdge() as edge:
        yield edge


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_paths, "FIRST_REJOIN_DELAY", 0.01)


async def exchange_some(connection: Connection, count: int = 100_000) -> None:
    connection.writer.write(b"%08d" % count)
    assert await read(connection, count) == digest_of(count)


async def test_a_path_is_added_and_another_removed_while_a_transfer_runs(edge: LoopbackEdge) -> None:
    connection, reading, path = await start(edge)
    added = await connection.add_path("lo")
    connection.remove_path(path)
    assert await reading == digest_of(SIZE)
    await until(lambda: edge.session.paths == connection.session.paths)
    assert sorted(connection.session.paths) == sorted({0, 1, added} - {path})
    states = {report.path: report.state for report in connection.report().paths}
    assert states == {path: "removed", 1 - path: "open", added: "open"}
    await connection.close()
    assert connection.session.error is None


async def test_path_0_moves_to_the_locator(edge: LoopbackEdge) -> None:
    connection = await edge.connect()
    await until(lambda: edge.sessions and len(edge.session.paths) == 2)
    await connection.rehome()
    edge.relays[0].stop()
    await exchange_some(connection)
    assert 0 not in connection.session.paths
    assert edge.relays[1].accepted == 2
    await connection.rehome()
    assert edge.relays[1].accepted == 2
    await connection.close()
    assert connection.session.error is None


async def test_the_edge_has_the_service_port_left(edge: LoopbackEdge) -> None:
    connection = await edge.connect()
    await until(lambda: edge.sessions and len(edge.session.paths) == 2)
    edge.session.ask_to_rehome()
    await until(lambda: sorted(edge.session.paths) == [1, 2])
    await exchange_some(connection)
    assert sorted(connection.session.paths) == [1, 2]


@pytest.mark.usefixtures("impatient")
async def test_a_broken_path_is_joined_again(edge: LoopbackEdge) -> None:
    connection, reading, path = await start(edge)
    edge.relays[path].cut()
    assert await reading == digest_of(SIZE)
    await until(lambda: len(connection.session.paths) == len(edge.session.paths) == 2)
    assert path not in connection.session.paths
    await exchange_some(connection)


@pytest.mark.usefixtures("impatient")
async def test_a_path_that_breaks_over_and_over_is_given_up(edge: LoopbackEdge) -> None:
    connection = await edge.connect()
    await until(lambda: edge.sessions and len(edge.session.paths) == 2)
    edge.relays[1].stop()
    assert connection.keeper is not None
    keeper = connection.keeper
    await until(
        lambda: keeper._attempts["lo"] == client_paths.MAX_REJOINS and 1 not in connection.session.paths
    )
    tried = keeper._next
    await exchange_some(connection)
    assert keeper._next <= tried + 1


@pytest.mark.usefixtures("impatient")
async def test_a_path_that_was_given_up_returns_when_the_hosts_network_has_changed(
    edge: LoopbackEdge,
) -> None:
    connection = await edge.connect()
    await until(lambda: edge.sessions and len(edge.session.paths) == 2)
    relay, port = edge.relays[1], edge.port + 1
    relay.stop()
    keeper = connection.keeper
    assert keeper is not None
    await until(
        lambda: keeper._attempts["lo"] == client_paths.MAX_REJOINS and 1 not in connection.session.paths
    )
    await relay.start(port)
    keeper._network_changed()
    await until(lambda: len(connection.session.paths) == len(edge.session.paths) == 2)
    await exchange_some(connection)
    await connection.close()
    await until(lambda: not keeper._tasks)


async def test_paths_are_bounded_in_number(edge: LoopbackEdge) -> None:
    connection = await edge.connect()
    for _ in range(MAXIMUM_PATHS - 2):
        await connection.add_path("lo")
    with pytest.raises(errors.MisusedStream):
        await connection.add_path("lo")
    await until(lambda: len(edge.session.paths) == MAXIMUM_PATHS)


async def test_an_observer_of_a_session_cannot_join_it(edge: LoopbackEdge) -> None:
    """The session id is on the wire in clear. A false answer ends that connection and nothing else."""
    connection = await edge.connect()
    session_id = connection.session.established.session_id
    for path, frame in ((2, bytes(36)), (0, b""), (2, b"")):
        initiator = JoinInitiator(connection.session.established.keys, session_id, path, bytes(32))
        subflow = await open_channel(edge.port + 1)
        subflow.send(initiator.join)
        if frame:
            assert (await subflow.next_frame())[0] is FrameType.JOIN_CHALLENGE
            subflow.send(bytes((FrameType.JOIN_RESPONSE, 0, 0, 32)) + bytes(32))
        if path == 2 and not frame:
            subflow.flow.close()  # gone without an answer
            continue
        assert (await subflow.next_frame())[0] is FrameType.ABORT
    await exchange_some(connection)
    assert edge.session.paths == [0, 1]


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_recorded_join_played_again_is_refused(edge: LoopbackEdge, arrived: bool) -> None:
    """Whether the recorded one reached the edge, and used its number up, or was held back on the way."""
    connection = await edge.connect()
    await until(lambda: edge.sessions and len(edge.session.paths) == 2)
    established = connection.session.established
    initiator = JoinInitiator(established.keys, established.session_id, 2, b"c" * 32)
    recorded = await open_channel(edge.port + 1)
    recorded.send(initiator.join)
    response, _, _ = initiator.answer_challenge((await recorded.next_frame())[1])
    if arrived:
        recorded.send(response)
        await until(lambda: 2 in edge.session.paths)
    replayed = await open_channel(edge.port + 1)
    replayed.send(initiator.join + response)
    kinds = [(await replayed.next_frame())[0] for _ in range(1 if arrived else 2)]
    assert kinds[-1] is FrameType.ABORT
    assert (2 in edge.session.paths) is arrived
    recorded.flow.close()
    await exchange_some(connection)


async def test_a_share_with_the_id_of_a_running_session_is_refused(edge: LoopbackEdge) -> None:
    connection = await edge.connect()
    await exchange_some(connection)
    stranger = Stranger(connection.session.established.session_id, b"k" * 32, b"n" * 32, b"")
    subflow = await open_channel(edge.port)
    subflow.send(stranger.client_share)
    with closing(subflow.flow):
        assert (await subflow.next_frame())[0] is FrameType.ABORT


async def connect_with_other_keys(edge: LoopbackEdge, **options: bool) -> Connection:
    """A session whose edge holds other keys, as one has that two attackers brought about who talk to each other."""
    connection = await edge.connect(**options)
    await exchange_some(connection)
    edge.session.established.keys._roots["server join"] = bytearray(32)
    return connection


async def test_a_session_makes_steps_and_paths_join_it_between_them(edge: LoopbackEdge) -> None:
    connection, reading, path = await start(edge)
    assert connection.report().steps.text() == "none yet"
    for count in (1, 2):
        connection.session._session._steps._attempt_at = float("-inf")
        connection.request_step()
        # an end may see a path work later than the other: then the attempt is made again, up to half a minute later
        for end in (edge.session, connection.session):
            await until(lambda end=end, count=count: end._session.step == count, ATTEMPT_LIMIT + 30)  # type: ignore[misc]
        added = await connection.add_path("lo")
    connection.remove_path(path)
    assert await reading == digest_of(SIZE)
    assert added in connection.session.paths
    report = connection.report()
    assert (report.steps.count, report.steps.against) == (2, "passive")  # one edge: nothing is apart
    assert report.as_dict()["steps"]["count"] == 2
    assert re.search(r"key steps 2, the last \d+ s ago: healed against who was passive\n", report.text())
    assert report_session(edge.session).steps.count == 2
    await connection.close()
    assert connection.session.error is None


async def test_a_join_that_names_another_step_is_refused_and_noted(edge: LoopbackEdge) -> None:
    connection = await edge.connect()
    await exchange_some(connection)
    # as where a thief of the keys has made a step with the edge
    keys = edge.session._session._steps.keys
    edge.session._session._steps.keys = keys.next_step(bytes(32), bytes(32))
    for _ in range(2):
        with pytest.raises(errors.StepChanged):
            await connection.add_path("lo")
    assert "refused as of another key step" in connection.report().notes[-1]
    assert len([note for note in connection.report().notes if "another key step" in note]) == 1
    edge.session._session._steps.keys = keys
    await exchange_some(connection)
    await connection.close()


async def test_a_response_that_comes_after_a_step_is_refused(edge: LoopbackEdge) -> None:
    connection = await edge.connect()
    await exchange_some(connection)
    established = connection.session.established
    initiator = JoinInitiator(connection.session.find_join_keys(0), established.session_id, 2, b"c" * 32)
    subflow = await open_channel(edge.port + 1)
    subflow.send(initiator.join)
    response, _, _ = initiator.answer_challenge((await subflow.next_frame())[1])
    connection.request_step()
    await until(
        lambda: edge.session._session.step == connection.session._session.step == 1, ATTEMPT_LIMIT + 30
    )
    subflow.send(response)
    kind, frame = await subflow.next_frame()
    assert (kind, parse_abort(frame).peer_code) == (FrameType.ABORT, errors.AbortCode.STEP_CHANGED)
    with pytest.raises(errors.StepChanged):
        connection.session.find_join_keys(0)
    await exchange_some(connection)
    assert edge.session.paths == [0, 1]


async def test_a_third_path_that_is_answered_under_other_keys_is_evidence_in_the_report(
    edge: LoopbackEdge,
) -> None:
    connection = await connect_with_other_keys(edge)
    for _ in range(2):
        with pytest.raises(errors.MacMismatch):
            await connection.add_path("lo")
    assert connection.report().notes[-1] == (
        "the join from lo was answered under other keys: that path is under attack"
    )
    connection.known[0].interface, connection.known[1].interface = "cell0", "wifi0"
    with pytest.raises(errors.MacMismatch):
        await connection.add_path("lo")
    assert connection.report().notes[-1].endswith("or both paths of the key exchange were (A-A)")
    assert len([note for note in connection.report().notes if "other keys" in note]) == 2
    await exchange_some(connection)


async def test_with_strict_such_evidence_ends_the_session(edge: LoopbackEdge) -> None:
    connection = await connect_with_other_keys(edge, strict=True)
    with pytest.raises(errors.MacMismatch):
        await connection.add_path("lo")  # a path of the exchange itself: nothing is learnt about the other
    await exchange_some(connection)
    connection.known[0].interface, connection.known[1].interface = "cell0", "wifi0"
    with pytest.raises(errors.MacMismatch):
        await connection.add_path("lo")
    assert isinstance(connection.session.error, errors.MacMismatch)
    await until(lambda: edge.session.error is not None)
    assert isinstance(edge.session.error, errors.PeerAborted)
    assert edge.session.error.peer_code == errors.AbortCode.MAC_MISMATCH


async def test_the_tag_and_exports_are_the_same_at_both_ends(edge: LoopbackEdge) -> None:
    connection = await edge.connect()
    await exchange_some(connection)
    there = edge.session.established.exporter
    assert connection.exporter.export("a", b"b", 20) == there.export("a", b"b", 20)
    assert connection.report().session_tag == there.tag.hex() == report_session(edge.session).session_tag
    assert connection.report().as_dict()["session_tag"] == there.tag.hex()
    await connection.close()
