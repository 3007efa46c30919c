"""Trace context: what W3C calls valid is continued, anything else begins a trace of the edge's own."""

import pytest

from edge.telemetry.trace_context import STATE_LIMIT, continue_trace

TRACE, PARENT, OWN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "f" * 32


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (f"00-{TRACE}-{PARENT}-01", 1),
        (f"00-{TRACE}-{PARENT}-00", 0),
        (f"00-{TRACE}-{PARENT}-ff", 1),  # flags that version 00 does not know are not passed on
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-adds", 1),
    ],
)
def test_a_valid_trace_goes_on_with_a_span_of_the_edge(value: str, flags: int) -> None:
    trace = continue_trace([value], ["a=1", "b=2"], OWN)
    assert (trace.trace_id, trace.parent_id, trace.flags, trace.state) == (TRACE, PARENT, flags, "a=1,b=2")
    assert trace.span_id != PARENT
    parent = f"00-{TRACE}-{trace.span_id}-{flags:02x}"
    assert trace.header_fields() == [("traceparent", parent), ("tracestate", "a=1,b=2")]


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [""],
        [f"00-{TRACE}-{PARENT}-01"] * 2,
        [f"ff-{TRACE}-{PARENT}-01"],
        [f"00-{TRACE}-{PARENT}-01-more"],
        [f"00-{'0' * 32}-{PARENT}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE.upper()}-{PARENT}-01"],
        [f"00-{TRACE}-{PARENT}-1"],
        [f"00-{TRACE}-{PARENT}-01\n"],
        ["00-" + "a" * 10_000],
    ],
)
def test_anything_else_begins_a_trace_that_has_the_id_of_the_request(parents: list[str]) -> None:
    trace = continue_trace(parents, ["a=1"], OWN)
    assert (trace.trace_id, trace.parent_id, trace.flags, trace.state) == (OWN, "", 0, "")


def test_a_state_beyond_the_limit_is_not_passed_on() -> None:
    trace = continue_trace([f"00-{TRACE}-{PARENT}-01"], ["a=" + "1" * STATE_LIMIT], OWN)
    assert trace.trace_id == TRACE
    assert trace.state == ""
