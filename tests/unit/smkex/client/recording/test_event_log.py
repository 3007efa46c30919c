"""Events of a session and its paths, as they change, in the style of qlog."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from loopback import LoopbackEdge, digest_of, read, until

from smkex.client import paths as client_paths
from smkex.client.recording import session_recorder
from smkex.client.recording.event_log import EventLog
from smkex.client.recording.key_log import KeyLog
from smkex.core import errors


def events_of(path: Path) -> list[dict[str, Any]]:
    """All but the header, whose form is checked."""
    first, *rest = [json.loads(text) for text in path.read_bytes().split(b"\x1e")[1:]]
    assert (first["qlog_format"], first["trace"]["vantage_point"]) == ("JSON-SEQ", {"type": "client"})
    return rest


def named(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["name"] == f"sennit:{name}"]


async def test_a_session_is_recorded_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events", clock=lambda: 1_700_000_000.25)
    async with LoopbackEdge() as edge:
        connection = await edge.connect(event_log=log)
        connection.writer.write(b"%08d" % 100_000)
        assert await read(connection, 100_000) == digest_of(100_000)
        connection.request_step()
        await until(lambda: named(events_of(log.path), "step"))
        await connection.close()
        await until(lambda: named(events_of(log.path), "session_closed"))
    log.close()
    events = events_of(log.path)
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert {event["group_id"] for event in events} == {connection.exporter.tag.hex()}
    assert {event["time"] for event in events} == {1_700_000_000_250.0}
    assert events[0]["name"] == "sennit:session_established"
    assert events[0]["data"]["kex"] == "x25519mlkem768"
    assert [added["path"] for added in named(events, "path_added")] == [0, 1]
    last = {each["path"]: each for each in named(events, "path_metrics_updated")}
    assert sum(each["bytes_received"] for each in last.values()) > 100_000
    assert named(events, "step") == [{"step": 1, "against": "passive"}]
    assert named(events, "session_closed") == [{}]


async def test_paths_that_break_and_join_again_are_recorded_with_their_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_paths, "FIRST_REJOIN_DELAY", 0.01)
    monkeypatch.setattr(session_recorder, "SAMPLE_INTERVAL", 0.005)
    log = EventLog(tmp_path / "events")
    async with LoopbackEdge() as edge:
        connection = await edge.connect(event_log=log)
        await until(lambda: edge.sessions and len(edge.session.paths) == 2)
        edge.session._flows[1].abort()
        await until(lambda: 2 in connection.session.paths)
        await until(lambda: 2 in [added["path"] for added in named(events_of(log.path), "path_added")])
        connection.session.fail(errors.Overloaded())
        await until(lambda: named(events_of(log.path), "session_closed"))
    events = events_of(log.path)
    changes = [(change["path"], change["old"]) for change in named(events, "path_state_updated")]
    assert (1, "open") in changes
    (closed,) = named(events, "session_closed")
    assert closed["error"] == "Overloaded"


def test_sessions_share_a_file_with_one_header(tmp_path: Path) -> None:
    for number in range(2):
        log = EventLog(tmp_path / "events")
        log.log_event(f"{number}", "anything", {"number": number})
        log.close()
    assert [event["group_id"] for event in events_of(tmp_path / "events")] == ["0", "1"]
    with pytest.raises(OSError, match="No such file"):
        EventLog(tmp_path / "missing" / "events")


def test_a_full_disk_costs_lines_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    events, keys = EventLog(Path("/dev/full")), KeyLog(Path("/dev/full"))
    events.log_event("tag", "anything", {})
    keys.log_key(bytes(16), "client data 0", bytes(16), bytes(12))
    assert caplog.text.count("No space left on device") == 3
    events.close()
    keys.close()
