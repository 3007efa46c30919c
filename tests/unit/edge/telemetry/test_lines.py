"""Lines of the access log: whatever a client writes, a line stays one line of valid JSON, or of combined fields."""

import json
import re
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.telemetry.access_log.combined_lines import CombinedLines
from edge.telemetry.access_log.fast_hit import FastHit, FastRequest, HitOutcome
from edge.telemetry.access_log.json_lines import JsonLines
from edge.telemetry.access_log.line_format import LineFormat
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.figures import ServiceFigures
from edge.telemetry.request_record import RequestRecord
from edge.telemetry.stream_record import StreamEnd, StreamRecord
from edge.telemetry.trace_context import TraceContext
from smkex.core.wire.messages import Endpoint, Observation

PAGE = Path(__file__).parents[4] / "docs" / "operate" / "access-log.md"
ID = "0af7651916cd43dd8448eb211c80319c"
SEEN = {
    0: Observation(1, Endpoint(ip_address("192.0.2.1"), 4000)),
    1: Observation(2, Endpoint(ip_address("2001:db8::1"), 4001)),
}
COMBINED = re.compile(r'\S+ - - \[[^\]]+\] "([^"]*)" \d{3} \d+ "([^"]*)" "([^"]*)"\n')
texts = st.text(st.characters(max_codepoint=255), max_size=40)


def connection() -> ConnectionFacts:
    return ConnectionFacts("tofu", "tcp", 1, "192.0.2.1", SEEN)


def whole(target: str = "/a", agent: str = "curl", referer: str = "") -> RequestRecord:
    figures = ServiceFigures("default")
    trace = TraceContext(ID, "b7ad6b7169203331")
    record = RequestRecord(connection(), ID, trace, figures, "GET", "cdn", target, agent, referer)
    record.status, record.bytes_out, record.cache_status, record.complete = 200, 4, "fwd=uri-miss", True
    record.origin, record.origin_status, record.origin_seconds = "http://origin:80", 200, 0.25
    return record


def stream(name: str = "db.example", detail: str = "") -> StreamRecord:
    record = StreamRecord(connection(), ID, ServiceFigures("db"), 3, name)
    record.target, record.bytes_in, record.bytes_out = "192.0.2.9:5432", 5, 7
    record.end, record.detail = StreamEnd.TARGET_BROKE_OFF, detail
    return record


def fast(target: str = "/a", agent: str = "curl", referer: str = "") -> FastHit:
    asked = FastRequest("cdn", target, agent, referer, ServiceFigures("default"))
    return FastHit(1_800_000_000.25, ID.encode(), connection(), asked, HitOutcome(200, 4, 60))


def line_of(lines: LineFormat, record: RequestRecord | StreamRecord | FastHit) -> bytes:
    if not isinstance(record, FastHit):
        return lines.format_record(record)
    parts: list[bytes] = []
    lines.add_hit(parts, record)
    return b"".join(parts)


def test_a_line_says_what_the_request_was() -> None:
    line = json.loads(line_of(JsonLines(), whole()))
    assert line["url"] == "https://cdn/a"
    assert line["paths"] == [
        {"path": 0, "client": "192.0.2.1", "ingress": 1},
        {"path": 1, "client": "2001:db8::1", "ingress": 2},
    ]
    assert (line["origin"], line["origin_status"], line["origin_seconds"]) == ("http://origin:80", 200, 0.25)
    assert (line["mode"], line["owner"], line["status"], line["hit"]) == ("tofu", 1, 200, False)
    hit = json.loads(line_of(JsonLines(), fast()))
    assert hit["time"] == "2027-01-15T08:00:00.250Z"
    assert (hit["hit"], hit["cache_status"], hit["origin"]) == (True, "hit; ttl=60", None)


def test_the_fast_path_has_the_fields_of_the_general_path_and_the_page_has_all_of_them() -> None:
    lines = JsonLines()
    names = list(json.loads(line_of(lines, whole())))
    assert list(json.loads(line_of(lines, fast()))) == names
    requests, streams = PAGE.read_text().split("## Streams\n")
    assert re.findall(r"^\| `(\w+)` \|", requests, re.MULTILINE) == names
    line = line_of(lines, stream())
    assert re.findall(r"^\| `(\w+)` \|", streams, re.MULTILINE) == list(json.loads(line))


@given(texts, texts, texts)
def test_no_client_can_write_a_second_line(target: str, agent: str, referer: str) -> None:
    for record in (whole(target, agent, referer), fast(target, agent, referer)):
        line = line_of(JsonLines(), record)
        assert line.count(b"\n") == 1
        assert line.isascii()
        found = json.loads(line)
        assert (found["user_agent"], found["referer"]) == (agent, referer)
        assert found["url"] == f"https://cdn{target}"
        combined = line_of(CombinedLines(), record).decode("ascii")
        assert COMBINED.fullmatch(combined)


@pytest.mark.parametrize("record", [whole(), fast()])
def test_the_combined_format_is_what_other_servers_write(record: RequestRecord | FastHit) -> None:
    line = line_of(CombinedLines(), record).decode()
    assert re.fullmatch(
        r'192\.0\.2\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /a HTTP/1\.1" 200 4 "-" "curl"\n',
        line,
    )


def test_a_path_that_comes_later_is_in_the_next_line() -> None:
    seen = {0: SEEN[0]}
    record = whole()
    record.connection = ConnectionFacts("tofu", "tcp", 1, "192.0.2.1", seen)
    assert len(json.loads(line_of(JsonLines(), record))["paths"]) == 1
    seen[1] = SEEN[1]
    assert len(json.loads(line_of(JsonLines(), record))["paths"]) == 2


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 2), st.integers(0, 3_000_000)),
        max_size=30,
    )
)
def test_what_lines_share_is_that_of_each(hits: list[tuple[int, int, int, int]]) -> None:
    """Connections, requests, outcomes, paths and times in any order: each line is that of its own."""
    seen = [{0: SEEN[0]}, SEEN]
    connections = [ConnectionFacts("tofu", "tcp", 1, f"192.0.2.{each}", seen[each]) for each in range(2)]
    asked = [FastRequest("cdn", f"/{each}", "", "", ServiceFigures("default")) for each in range(2)]
    outcomes = [HitOutcome(200, size, 60) for size in range(3)]
    lines = JsonLines()
    for number, (by, what, outcome, microseconds) in enumerate(hits):
        if number == 20:
            seen[0][1] = SEEN[1]
        at = 1_800_000_000 + microseconds / 1e6
        record = FastHit(at, f"{number:032x}".encode(), connections[by], asked[what], outcomes[outcome])
        line = json.loads(line_of(lines, record))
        assert (line["request_id"], line["trace_id"]) == (f"{number:032x}", f"{number:032x}")
        assert (line["client"], len(line["paths"])) == (f"192.0.2.{by}", len(seen[by]))
        assert (line["url"], line["bytes_out"]) == (f"https://cdn/{what}", outcome)
        moment = datetime.fromisoformat(line["time"])
        assert abs((moment - datetime.fromtimestamp(at, UTC)).total_seconds()) <= 1.1e-3


@given(texts, texts)
def test_a_line_of_a_stream_stays_one_line(name: str, detail: str) -> None:
    line = line_of(JsonLines(), stream(name, detail))
    assert (line.count(b"\n"), line.isascii()) == (1, True)
    found = json.loads(line)
    assert (found["server_name"], found["detail"]) == (name, detail)
    assert (found["status"], found["end"], len(found["paths"])) == (502, "target-broke-off", 2)
    combined = line_of(CombinedLines(), stream(name, detail))
    assert COMBINED.fullmatch(combined.decode("ascii"))
