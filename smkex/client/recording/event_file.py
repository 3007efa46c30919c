"""Read an event log: what happened to each session and path, as values."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE_LIMIT = 256 << 20  # bytes of a file that is read


@dataclass(frozen=True, slots=True)
class Metrics:
    """A sample of a path: unix time in seconds, round-trip time in seconds (None once it is closed), bytes so far."""

    at: float
    rtt: float | None
    sent: int
    received: int


@dataclass(slots=True)
class RecordedPath:
    """A path: its number, what is known of it, its states from when on (unix seconds), its samples in order of time."""

    number: int
    facts: dict[str, Any]
    states: list[tuple[float, str]]
    samples: list[Metrics] = field(default_factory=list)


@dataclass(slots=True)
class RecordedSession:
    """A session: tag, facts of its beginning, paths by number, how it ended (None while it runs), key steps."""

    tag: str
    began: float
    facts: dict[str, Any]
    paths: dict[int, RecordedPath] = field(default_factory=dict)
    ended: float | None = None
    error: str | None = None
    last: float = 0.0
    steps: int = 0


def read_event_log(path: Path) -> list[RecordedSession]:
    """Return the sessions of an event log in the order in which they began.

    Raises `OSError`, and `ValueError` for any other file. Events of other programs, and a last event that is not
    whole yet, are passed over.
    """
    sessions: dict[str, RecordedSession] = {}
    for event in _each_event(path):
        try:
            _add_event(sessions, event)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path}: not an event of this program: {event}") from error
    return list(sessions.values())


def _each_event(path: Path) -> Iterator[dict[str, Any]]:
    if path.stat().st_size > FILE_LIMIT:
        raise ValueError(f"{path}: more than {FILE_LIMIT >> 20} MB")
    content = path.read_bytes()
    if not content.startswith(b"\x1e"):
        raise ValueError(f"{path}: not a JSON text sequence (RFC 7464), as --qlog writes it")
    texts = content[1:].split(b"\x1e")
    for number, text in enumerate(texts):
        try:
            event = json.loads(text)
        except ValueError as error:
            if number == len(texts) - 1:
                return  # being written, or cut off by a full disk
            raise ValueError(f"{path}: record {number} is no JSON: {error}") from error
        if isinstance(event, dict) and str(event.get("name", "")).startswith("sennit:"):
            yield event


def _add_event(sessions: dict[str, RecordedSession], event: dict[str, Any]) -> None:
    at, tag, data = event["time"] / 1000, event["group_id"], event["data"]
    name = event["name"].removeprefix("sennit:")
    if name == "session_established":
        sessions[tag] = RecordedSession(tag, at, data, last=at)
        return
    session = sessions.get(tag)
    if session is None:  # the file begins in the middle of it
        return
    session.last = max(session.last, at)
    if name == "path_added":
        session.paths[data["path"]] = RecordedPath(data["path"], data, [(at, data["state"])])
    elif name == "path_state_updated":
        session.paths[data["path"]].states.append((at, data["new"]))
    elif name == "path_metrics_updated":
        rtt = data.get("smoothed_rtt_ms")
        sample = Metrics(at, None if rtt is None else rtt / 1000, data["bytes_sent"], data["bytes_received"])
        session.paths[data["path"]].samples.append(sample)
    elif name == "step":
        session.steps = data["step"]
    elif name == "session_closed":
        session.ended = at
        session.error = f"{data['error']}: {data['text']}" if "error" in data else None
