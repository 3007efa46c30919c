"""Random operations on two session drivers over real sockets: the same result on a reactor's loop and on asyncio's."""

import asyncio
import socket
from ipaddress import ip_address

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wires import fresh_keys, same_keys

from smkex.core.handshake.established import Established
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Endpoint, Mode, Observation
from smkex.core.wire.named_group import NamedGroup
from smkex.transport.driver import SessionDriver
from smkex.transport.event_loop import ReactorLoop
from smkex.transport.flow import Flow

BOUND = 30.0  # seconds a run may take
PATHS = 2

Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 300_000)),
        st.tuples(st.just("lend"), st.integers(1, 300_000)),
        st.tuples(st.just("answer"), st.integers(1, 300_000)),
        st.tuples(st.sampled_from(["pause", "resume", "turn"]), st.just(0)),
        st.tuples(st.just("lose"), st.integers(0, PATHS - 1)),
        st.tuples(st.just("crumbs"), st.integers(1, 64)),
    ),
    max_size=12,
)


class Application(asyncio.Protocol):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = False
        self.lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        self.ended = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


def make_end(keys: KeySchedule, role: str) -> tuple[SessionDriver, Application]:
    seen = Observation(1, Endpoint(ip_address("192.0.2.1"), 1))
    session = SessionDriver(
        Established(keys, Mode.OPPORTUNISTIC, NamedGroup.X25519, bytes(16), 1, (seen, seen)), role, {}
    )
    application = Application()
    session.start(application)
    return session, application


def pattern(start: int, size: int) -> bytes:
    return bytes((start + at) % 251 for at in range(min(size, 251))) * (size // 251 + 1)


async def play(steps: list[Step]) -> tuple[object, ...]:
    """Return what both applications have observed when both streams have ended."""
    keys = fresh_keys()
    ends = [make_end(same_keys(keys), "client"), make_end(keys, "server")]
    flows = []
    for path in range(PATHS):
        pair = socket.socketpair()
        for (session, _), sock in zip(ends, pair, strict=True):
            sock.setblocking(False)
            flow = Flow(sock, ("", 0))
            flow.start(session)
            session.add_flow(path, flow, FrameReader())
            flows.append(flow)
    left = set(range(PATHS))
    (near, _), (far, _) = ends
    for name, number in steps:
        match name:
            case "write":
                near.write(pattern(1, number))
            case "lend":  # a buffer that is used again at once
                buffer = bytearray(pattern(1, number))
                near.write(memoryview(buffer))
                buffer[:] = bytes(len(buffer))
            case "answer":
                far.write(pattern(2, number))
            case "pause":
                near.pause_reading()
            case "resume":
                near.resume_reading()
            case "lose" if len(left) > 1 and number in left:
                left.discard(number)
                flows[2 * number].abort()
            case "crumbs":
                for _ in range(number):
                    near.write(b"x")
            case _:
                await asyncio.sleep(0)
    near.resume_reading()
    near.write_eof()
    far.write_eof()
    async with asyncio.timeout(BOUND):
        while not all(application.lost for _, application in ends):
            await asyncio.sleep(0)
    return tuple(
        (bytes(application.received), application.ended, application.lost, session.error)
        for session, application in ends
    )


def run_on(loop: asyncio.AbstractEventLoop, steps: list[Step]) -> tuple[object, ...]:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(play(steps))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_a_session_gives_the_same_on_both_kinds_of_loop(steps: list[Step]) -> None:
    found = run_on(ReactorLoop(), steps)
    assert found == run_on(asyncio.SelectorEventLoop(), steps)
    written = {"write": b"", "answer": b""}
    for name, number in steps:
        if name == "crumbs":
            written["write"] += b"x" * number
        elif name == "lend":
            written["write"] += pattern(1, number)
        elif name in written:
            written[name] += pattern(1 if name == "write" else 2, number)
    assert found == ((written["answer"], True, [None], None), (written["write"], True, [None], None))
