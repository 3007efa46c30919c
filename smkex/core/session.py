"""A session after its handshake: one ordered byte stream per direction over one or more subflows.

A function of (bytes, path) that is drained for bytes to send. A record that does not authenticate costs its
subflow only: what that subflow carried unacknowledged goes out again on another, same ciphertext (MPTCPsec
section III). All paths gone without the authenticated end of both streams is `Truncated`.
"""

from collections import deque
from dataclasses import dataclass, field

from smkex.core.control import Control, ControlOpener, ControlSealer
from smkex.core.errors import (
    BadRecord,
    Cancelled,
    MalformedMessage,
    MisusedStream,
    PeerAborted,
    SmkexError,
    Truncated,
)
from smkex.core.events import DataReceived, Event, PathDropped, SessionClosed, SessionFailed, StreamEnded
from smkex.core.frame import RECORD_DATA_LIMIT, FrameReader, FrameType
from smkex.core.reassembly import Reassembly
from smkex.core.record import EpochKeys, SealedRecord, seal, unseal
from smkex.core.schedule import KeySchedule

WINDOW = 8 << 20  # bytes a direction: 280 ms at 200 Mbit/s
ACKNOWLEDGE_EVERY = 256 << 10  # bytes received between acknowledgements that ride on nothing else


@dataclass(slots=True)
class _Path:
    """One subflow of the session."""

    sealer: ControlSealer
    opener: ControlOpener
    reader: FrameReader
    rtt: float
    outgoing: deque[bytes] = field(default_factory=deque)
    sent: int = 0
    received: int = 0


class Session:
    """One end of a session. `role` is "client" or "server"."""

    def __init__(self, keys: KeySchedule, role: str, window: int = WINDOW) -> None:
        self._keys = keys
        self._role, self._peer = role, "server" if role == "client" else "client"
        self._seal_keys = EpochKeys(keys, role)
        self._open_keys = EpochKeys(keys, self._peer)
        self._paths: dict[int, _Path] = {}
        self._unsent: deque[memoryview] = deque()
        self._unsent_bytes = 0
        self._next_dsn = 0
        self._limit = window
        self._acknowledged = 0
        self._in_flight: deque[SealedRecord] = deque()
        self._again: deque[SealedRecord] = deque()
        self._final: int | None = None
        self._incoming = Reassembly(window)
        self._peer_final: int | None = None
        self._peer_ended = False
        self._told = 0
        self._told_limit = window
        self._control_due = False
        self._over = False

    # --- paths

    def add_path(self, path: int, reader: FrameReader, rtt: float) -> list[Event]:
        """Take a subflow into the session, with what its reader still holds of frames. `rtt` in seconds."""
        reader.handshake_only = False
        self._paths[path] = _Path(
            ControlSealer(self._keys, self._role, path),
            ControlOpener(self._keys, self._peer, path),
            reader,
            rtt,
        )
        return self.receive(path, b"")

    def path_lost(self, path: int) -> list[Event]:
        """The subflow of `path` ended or broke: a FIN or RST ends a path, never the stream."""
        return [] if self._over else self._drop(path, None)

    @property
    def paths(self) -> list[int]:
        return list(self._paths)

    def preferred(self) -> int | None:
        """The path of lowest latency: where data goes."""
        return min(self._paths, key=lambda path: (self._paths[path].rtt, path), default=None)

    # --- the application's side

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue bytes of the stream. The caller minds `unsent`."""
        if self._final is not None:
            raise ValueError("the stream has been ended")
        if data and not self._over:
            self._unsent.append(memoryview(bytes(data)))
            self._unsent_bytes += len(data)

    def end(self) -> None:
        """End this direction after what is queued."""
        if self._final is None:
            self._final = self._next_dsn + self._unsent_bytes
            self._control_due = True

    def consume(self, count: int) -> None:
        """The application took `count` received bytes: the peer may send more."""
        self._incoming.consume(count)
        if self._incoming.limit - self._told_limit >= ACKNOWLEDGE_EVERY:
            self._control_due = True

    def abort(self, error: SmkexError | None = None) -> None:
        """Give the session up: a sealed Abort goes out on every path with the next `data_to_send`."""
        if not self._over:
            self._over = True
            for path in self._paths.values():
                path.outgoing.append(path.sealer.seal(Control(abort=(error or Cancelled()).code)))
            self._unsent.clear()
            self._in_flight.clear()
            self._again.clear()

    @property
    def unsent(self) -> int:
        """Bytes written and not yet sealed."""
        return self._unsent_bytes

    @property
    def over(self) -> bool:
        return self._over

    def transferred(self, path: int) -> tuple[int, int]:
        """Bytes of frames (sent, received) on `path` while it is in the session."""
        return (self._paths[path].sent, self._paths[path].received) if path in self._paths else (0, 0)

    # --- the network's side

    def receive(self, path: int, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take bytes that arrived on `path`, however cut."""
        if self._over or path not in self._paths:
            return []
        subflow = self._paths[path]
        subflow.received += len(data)
        subflow.reader.feed(data)
        events: list[Event] = []
        try:
            for kind, frame in subflow.reader.frames():
                events += self._frame(subflow, kind, frame)
                if self._over:
                    break
        except (BadRecord, MalformedMessage) as error:
            events += self._drop(path, error)
        except SmkexError as error:
            self.abort(error)
            events.append(SessionFailed(error))
        return events + self._closing()

    def data_to_send(self, path: int) -> bytes:
        """Return the next frame to send on `path`, or nothing. Data goes to the preferred path only."""
        subflow = self._paths.get(path)
        if subflow is None:
            return b""
        frame = self._next_frame(path, subflow)
        subflow.sent += len(frame)
        return frame

    def acknowledge(self) -> None:
        """State now what is received: for the driver's timer, and before it waits for the peer."""
        if self._received() > self._told:
            self._control_due = True

    # --- inside

    def _next_frame(self, path: int, subflow: _Path) -> bytes:
        if subflow.outgoing:
            return subflow.outgoing.popleft()
        if self._over or path != self.preferred():
            return b""
        if self._control_due:
            return self._state(subflow)
        if self._again:
            record = self._again.popleft()
        elif self._unsent and self._next_dsn < self._limit:
            record = self._seal_next()
        else:
            return b""
        record.path = path
        self._in_flight.append(record)
        return record.frame

    def _seal_next(self) -> SealedRecord:
        room = min(RECORD_DATA_LIMIT, self._limit - self._next_dsn)
        parts: list[memoryview] = []
        while self._unsent and room:
            part = self._unsent.popleft()
            if len(part) > room:
                self._unsent.appendleft(part[room:])
                part = part[:room]
            room -= len(part)
            parts.append(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        record = seal(self._seal_keys, self._next_dsn, data)
        self._unsent_bytes -= len(data)
        self._next_dsn = record.end
        return record

    def _state(self, subflow: _Path) -> bytes:
        self._control_due = False
        self._told, self._told_limit = self._received(), self._incoming.limit
        return subflow.sealer.seal(Control(self._told, self._told_limit, self._final))

    def _received(self) -> int:
        return self._incoming.next + (1 if self._peer_ended else 0)

    def _frame(self, subflow: _Path, kind: FrameType, frame: bytes) -> list[Event]:
        if kind is FrameType.DATA:
            dsn, data = unseal(self._open_keys, frame)
            return self._record(dsn, data)
        if kind is FrameType.CONTROL:
            return self._control(subflow.opener.open(frame))
        # an Abort in clear has no weight once keys exist; any other handshake message has no place here
        raise MalformedMessage(f"{kind.name} came after the handshake")

    def _record(self, dsn: int, data: bytes) -> list[Event]:
        if self._peer_final is not None and dsn + len(data) > self._peer_final:
            raise MisusedStream("a record lies behind the end of its stream")
        events: list[Event] = [DataReceived(part) for part in self._incoming.add(dsn, data)]
        if self._incoming.next - self._told >= ACKNOWLEDGE_EVERY:
            self._control_due = True
        return events + self._ended()

    def _control(self, control: Control) -> list[Event]:
        if control.abort is not None:
            self._over = True
            return [SessionFailed(PeerAborted(control.abort, authenticated=True))]
        if control.acknowledged is not None:
            self._take_acknowledgement(control.acknowledged, control.limit)
        if control.final is not None:
            if self._peer_final not in (None, control.final) or control.final < self._incoming.next:
                raise MisusedStream("the end of the stream moved")
            self._peer_final = control.final
        return self._ended()

    def _take_acknowledgement(self, acknowledged: int, limit: int) -> None:
        end = self._next_dsn + (1 if self._final == self._next_dsn else 0)
        if acknowledged > end:
            raise MisusedStream("bytes are acknowledged that were never sent")
        self._acknowledged = max(self._acknowledged, acknowledged)
        self._limit = max(self._limit, limit)
        for queue in (self._in_flight, self._again):
            kept = [record for record in queue if record.end > self._acknowledged]
            if len(kept) != len(queue):
                queue.clear()
                queue.extend(kept)

    def _ended(self) -> list[Event]:
        if self._peer_ended or self._peer_final is None or self._incoming.next != self._peer_final:
            return []
        self._peer_ended = True
        self._control_due = True
        return [StreamEnded()]

    def _closing(self) -> list[Event]:
        if self._over or not self._peer_ended or self._final is None or self._acknowledged <= self._final:
            return []
        self._over = True
        path = self.preferred()
        if path is not None:
            # the peer may still wait for this: it is the acknowledgement of its end
            self._paths[path].outgoing.append(self._state(self._paths[path]))
        return [SessionClosed()]

    def _drop(self, path: int, error: SmkexError | None) -> list[Event]:
        if self._paths.pop(path, None) is None:
            return []
        lost = [record for record in self._in_flight if record.path == path]
        self._in_flight = deque(record for record in self._in_flight if record.path != path)
        self._again = deque(sorted([*lost, *self._again], key=lambda record: record.dsn))
        self._control_due = True
        events: list[Event] = [PathDropped(path, error)]
        if not self._paths:
            self._over = True
            events.append(SessionFailed(error or Truncated()))
        return events
