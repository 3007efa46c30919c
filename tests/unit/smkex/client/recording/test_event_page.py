"""The page that is drawn from an event log."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import LoopbackEdge, digest_of, read

from sennit.main import main
from smkex.client.recording.event_file import read_event_log
from smkex.client.recording.event_log import EventLog
from smkex.client.recording.event_page import draw_page

FACTS = {"vip": "203.0.113.1", "mode": "tofu", "kex": "x25519mlkem768", "setup_ms": 12.5, "notes": []}


def write_log(path: Path, events: list[tuple[float, str, dict[str, Any]]]) -> Path:
    times = iter([at for at, _, _ in events])
    log = EventLog(path, clock=lambda: next(times))
    for _, name, data in events:
        log.log_event("5e" * 32, name, data)
    log.close()
    return path


def stalled_session(path: Path) -> Path:
    def metrics(number: int, received: int, rtt: float = 20.0) -> dict[str, Any]:
        return {"path": number, "smoothed_rtt_ms": rtt, "bytes_sent": 0, "bytes_received": received}

    return write_log(
        path,
        [
            (100.0, "session_established", FACTS),
            (100.0, "path_added", {"path": 0, "interface": "wifi0", "address": "10.2.0.2", "state": "open"}),
            (100.0, "path_metrics_updated", metrics(0, 0)),
            (101.0, "path_metrics_updated", metrics(0, 4_000_000, 40.0)),
            (101.5, "path_state_updated", {"path": 0, "old": "open", "new": "stalled"}),
            (101.5, "path_added", {"path": 1, "interface": "cell0", "address": "10.1.0.2", "state": "open"}),
            (102.0, "path_state_updated", {"path": 0, "old": "stalled", "new": "dropped: BadRecord"}),
            (103.0, "step", {"step": 1, "against": "passive"}),
            (104.0, "session_closed", {"error": "Truncated", "text": "the paths <ended>"}),
        ],
    )


def test_states_rates_and_the_end_are_where_they_happened(tmp_path: Path) -> None:
    (session,) = read_event_log(stalled_session(tmp_path / "events"))
    assert session.error == "Truncated: the paths <ended>"
    assert [state for _, state in session.paths[0].states] == ["open", "stalled", "dropped: BadRecord"]
    page = draw_page([session], "a download")
    tree = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    bands = {band[0].text: band for band in tree.iter("rect")}
    assert set(bands) == {
        "open from 0.000 s",
        "stalled from 1.500 s",
        "dropped: BadRecord from 2.000 s",
        "open from 1.500 s",
    }
    lengths = {text: float(band.attrib["width"]) for text, band in bands.items()}
    assert lengths["open from 0.000 s"] == pytest.approx(3 * lengths["stalled from 1.500 s"], rel=0.01)
    said = [text.text for text in tree.iter("text")]
    assert {"4 MB/s", "40 ms", "wifi0", "10.1.0.2"} <= set(said)
    assert "1 key step;" in page
    assert "ended after 4 s with Truncated: the paths &lt;ended&gt;" in page


async def test_a_real_session_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = EventLog(tmp_path / "events")
    async with LoopbackEdge() as edge:
        connection = await edge.connect(event_log=log)
        connection.writer.write(b"%08d" % 100_000)
        assert await read(connection, 100_000) == digest_of(100_000)
        await connection.close()
    log.close()
    page = tmp_path / "page.html"
    assert main(["event-page", str(log.path), "-o", str(page)]) == 0
    assert capsys.readouterr().out == f"{page}: 1 session\n"
    assert page.read_text().count("<svg") == 1
    assert "path 1" in page.read_text()


@given(st.text(), st.text())
def test_nothing_from_the_network_becomes_markup(name: str, error: str) -> None:
    from smkex.client.recording.event_file import RecordedPath, RecordedSession

    facts = {"interface": f"<b>{name}", "address": f'"{error}', "state": "open"}
    path = RecordedPath(0, facts, [(1.0, f"dropped: </svg>{error}")])
    session = RecordedSession(
        f"<i>{name}", 1.0, {"vip": f"<u>{name}", "notes": [f"<s>{error}"]}, {0: path}, 2.0, f"<q>{error}"
    )
    page = draw_page([session], f"<h6>{name}")
    for markup in ("<b>", "<i>", "<u>", "<s>", "<q>", "<h6>"):
        assert markup not in page
    assert page.count("</svg>") == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a JSON text sequence"),
        (b"{}\n", "not a JSON text sequence"),
        (b"\x1e{\n\x1e{}\n", "record 0 is no JSON"),
        (b'\x1e{"name": "sennit:session_established"}\n\x1e{}\n', "not an event of this program"),
        (b'\x1e{"name": "sennit:path_added", "time": "x", "group_id": "1", "data": {}}\n', "not an event"),
    ],
)
def test_a_file_that_is_no_event_log_is_refused_with_the_reason(
    content: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "events").write_bytes(content)
    assert main(["event-page", str(tmp_path / "events"), "-o", str(tmp_path / "page")]) != 0
    assert says in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_an_event_that_is_being_written_is_passed_over(tmp_path: Path) -> None:
    path = stalled_session(tmp_path / "events")
    path.write_bytes(path.read_bytes() + b'\x1e{"time": 1')
    (session,) = read_event_log(path)
    assert session.ended == 104.0


def test_events_of_a_session_that_began_elsewhere_and_of_other_programs_are_passed_over(
    tmp_path: Path,
) -> None:
    path = write_log(tmp_path / "events", [(1.0, "session_closed", {})])
    path.write_bytes(path.read_bytes() + b"\x1e" + json.dumps({"name": "quic:packet_sent"}).encode() + b"\n")
    assert read_event_log(path) == []
