"""Trace context (W3C Trace Context, level 1): accepted from clients, made where there is none, passed to the origin."""

import os
import re
from dataclasses import dataclass

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
TRACE_FIELDS = frozenset({TRACEPARENT, TRACESTATE})
STATE_LIMIT = 512  # characters of tracestate that are passed on (section 3.3.1.5)
SAMPLED = 0x01
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One request within a trace: `span_id` is the edge's, `parent_id` the caller's, or empty where it began here."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    flags: int = 0
    state: str = ""

    @property
    def is_sampled(self) -> bool:
        return bool(self.flags & SAMPLED)

    def parent_field(self, span_id: str) -> str:
        """Return traceparent of a request that the span `span_id` of this trace causes."""
        return f"00-{self.trace_id}-{span_id}-{self.flags:02x}"

    def header_fields(self) -> list[tuple[str, str]]:
        """Return the fields of a request that this one causes."""
        found = [(TRACEPARENT, self.parent_field(self.span_id))]
        return [*found, (TRACESTATE, self.state)] if self.state else found


def continue_trace(parents: list[str], states: list[str], request_id: str) -> TraceContext:
    """Continue the trace of a client's fields; without a valid one begin a trace whose id is the request's."""
    span_id = os.urandom(8).hex()
    found = _PARENT.fullmatch(parents[0]) if len(parents) == 1 else None
    if found is None or not _is_valid(found):
        return TraceContext(request_id, span_id)
    state = ",".join(states)
    # only what version 00 defines is passed on, with the flags that it defines (section 4.3)
    flags = int(found[4], 16) & SAMPLED
    return TraceContext(found[2], span_id, found[3], flags, state if len(state) <= STATE_LIMIT else "")


def _is_valid(found: re.Match[str]) -> bool:
    version, trace, parent, _, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return False
    return trace.strip("0") != "" and parent.strip("0") != ""
