"""A thief of a session's whole state, and a key step: two real ends in memory, the thief on one or both of their paths.

The thief holds the key schedule as it was when the session began, so it opens and forges everything until a step; what
it may do after that is what these attacks show (docs/protocol, "Key steps"). Beside the other attacks of the lab it is
in memory because nothing but a debugger takes a state out of a process.
"""

import contextlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import ip_address
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lab.attack.cells import AttackOutcome, Powers
from lab.attack.run import Result
from lab.errors import LabFailed
from smkex.core.errors import SmkexError, StepChanged
from smkex.core.events import DataReceived, PathDropped, SessionEvent, SessionFailed, StepCompleted
from smkex.core.handshake.join import FIRST_JOINED, Join, JoinAcceptor, JoinInitiator
from smkex.core.keys.aead_key import AEAD_NONCE_LENGTH, KEY_LENGTH, expand_secret
from smkex.core.keys.epoch_chain import DSN_BITS
from smkex.core.keys.key_agreement import encapsulate_mlkem
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.session.key_steps import STEP_LIMIT, StepSettings
from smkex.core.session.record import PHASE_SHIFT
from smkex.core.session.session import Session
from smkex.core.session.step_exchange import ConcludedStep, StepAnswerer, StepAttempt, bind_step
from smkex.core.session.step_message import StepKind, StepMessage, encode_step_binding, encode_step_nonce
from smkex.core.wire.frame import DATA_TYPE, HEADER_LENGTH, STEP_TYPE, SWITCH_TYPE
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import NONCE_LENGTH, SESSION_ID_LENGTH, Aead, Endpoint, Mode, Observation
from smkex.core.wire.named_group import NamedGroup

MODE = "stolen session state"
ENDS = ("client", "server")
OTHER = {"client": "server", "server": "client"}
GROUP = NamedGroup.X25519MLKEM768
PATHS = (0, 1)
BEFORE, AFTER = b"sent before the step", b"sent after the step"


class ForeignCipher:
    """AEAD under a secret that was stolen: it opens and seals as the ends do, with any number."""

    def __init__(self, secret: bytes, label: bytes) -> None:
        self._cipher = AESGCM(expand_secret(secret, label + b" key", KEY_LENGTH[Aead.AES_128_GCM]))
        self._iv = int.from_bytes(expand_secret(secret, label + b" iv", AEAD_NONCE_LENGTH), "big")

    @classmethod
    def of_control(cls, keys: KeySchedule, sender: str, path: int) -> "ForeignCipher":
        """Return that of the control messages of `sender` on a path of the key exchange."""
        secret = expand_secret(keys.root(f"{sender} control"), keys.label + b" path" + bytes([path]))
        return cls(secret, keys.label)

    @classmethod
    def of_data(cls, keys: KeySchedule, sender: str) -> "ForeignCipher":
        """Return that of the records of the chain's first epoch."""
        return cls(bytes(keys.root(f"{sender} data")), keys.label)

    def open(self, number: int, frame: bytes, head: int = HEADER_LENGTH) -> bytes:
        """Raises `cryptography.exceptions.InvalidTag`."""
        return self._cipher.decrypt(self._nonce(number), frame[head:], frame[:head])

    def seal(self, number: int, head: bytes, items: bytes) -> bytes:
        return head + self._cipher.encrypt(self._nonce(number), items, head)

    def _nonce(self, number: int) -> bytes:
        return (self._iv ^ number).to_bytes(AEAD_NONCE_LENGTH, "big")


class Channel:
    """Control messages of one sender on one path: opened, and sealed again with a counter of the thief's own."""

    def __init__(self, keys: KeySchedule, sender: str, path: int) -> None:
        self._sender, self._path = sender, path
        self.use(keys, keys)

    def use(self, of_sender: KeySchedule, of_receiver: KeySchedule) -> None:
        """Begin anew under the keys that the thief shares with either end."""
        self._from = ForeignCipher.of_control(of_sender, self._sender, self._path)
        self._to = ForeignCipher.of_control(of_receiver, self._sender, self._path)
        self._opened = self._sealed = 0

    def open(self, frame: bytes) -> bytes:
        self._opened += 1
        return self._from.open(self._opened - 1, frame)

    def seal(self, kind: int, items: bytes) -> bytes:
        self._sealed += 1
        head = ((kind << 24) + len(items) + 16).to_bytes(HEADER_LENGTH, "big")
        return self._to.seal(self._sealed - 1, head, items)


class Thief:
    """Holds the state and hears both paths; `active` are those where it stands in the middle and `rewrite`s steps."""

    active: ClassVar[tuple[int, ...]] = ()
    breaks: ClassVar[tuple[int, ...]] = ()  # the paths that it breaks before the step

    def __init__(self, stolen: KeySchedule) -> None:
        self.stolen = stolen
        self.heard: list[tuple[int, str, bytes]] = []
        self.read: list[bytes] = []  # stream data of after the step that it opened
        self.next: dict[str, KeySchedule] = {}  # shared with either end, after a step with both
        self._channels = {(path, sender): Channel(stolen, sender, path) for path in PATHS for sender in ENDS}
        self._out: set[tuple[int, str]] = set()  # where an end has gone over to keys that it has not
        self.bodies: dict[StepKind, bytes] = {}  # of the step's messages, as heard

    def pass_frame(self, path: int, sender: str, frame: bytes) -> list[bytes]:
        """Return what goes on in the place of a frame."""
        self.heard.append((path, sender, frame))
        if frame[0] == DATA_TYPE:
            return [self._pass_record(sender, frame)]
        channel, kind = self._channels[path, sender], frame[0]
        if kind == SWITCH_TYPE:
            if not self.next:
                self._out.add((path, sender))
            else:
                channel.use(self.next[sender], self.next[OTHER[sender]])
        if (path, sender) in self._out:
            return [frame]
        items = channel.open(frame)
        if kind == STEP_TYPE:
            message = StepMessage.parse(items, GROUP)
            self.bodies.setdefault(message.kind, items)
            if path in self.active:
                return [channel.seal(kind, body) for body in self.rewrite(path, message)]
        return [channel.seal(kind, items)]

    def rewrite(self, path: int, message: StepMessage) -> list[bytes]:
        """Return the bodies that go on in the place of a message of a step, which came on an active path."""
        return [message.body]

    def try_everything(self, phases: Collection[int] = (1, 2, 3)) -> None:
        """Try the keys of the stolen state on every record of these phases, which are those of after the step."""
        for _, sender, frame in self.heard:
            if frame[0] == DATA_TYPE and frame[HEADER_LENGTH] >> PHASE_SHIFT in phases:
                head = HEADER_LENGTH + 8
                with contextlib.suppress(InvalidTag):
                    cipher = ForeignCipher.of_data(self.stolen, sender)
                    self.read.append(cipher.open(_find_dsn(frame), frame, head))

    def _pass_record(self, sender: str, frame: bytes) -> bytes:
        if not self.next or not frame[HEADER_LENGTH] >> PHASE_SHIFT:
            return frame
        head = frame[: HEADER_LENGTH + 8]
        data = ForeignCipher.of_data(self.next[sender], sender).open(_find_dsn(frame), frame, len(head))
        self.read.append(data)
        return ForeignCipher.of_data(self.next[OTHER[sender]], sender).seal(_find_dsn(frame), head, data)


def _find_dsn(frame: bytes) -> int:
    return int.from_bytes(frame[HEADER_LENGTH : HEADER_LENGTH + 8], "big") & (1 << DSN_BITS) - 1


class ShareThief(Thief):
    """Exchanges own shares with both ends on path 0, where shares go."""

    active: ClassVar[tuple[int, ...]] = (0,)

    def __init__(self, stolen: KeySchedule) -> None:
        super().__init__(stolen)
        self._with_edge: StepAttempt | None = None
        self._with_client: StepAnswerer | None = None
        self._concluded: ConcludedStep | None = None

    def rewrite(self, path: int, message: StepMessage) -> list[bytes]:
        share = self.bodies.get(StepKind.SHARE)
        match message.kind:
            case StepKind.SHARE:
                paths = (message.share_path, message.nonce_path)
                self._with_edge = StepAttempt(
                    self.stolen, GROUP, message.attempt, paths, message.epoch, os.urandom
                )
                return [self._with_edge.share]
            case StepKind.ANSWER if share is not None and self._with_edge is not None:
                self._with_edge.receive_answer(path, message)
                self._with_client = StepAnswerer(
                    self.stolen,
                    GROUP,
                    StepMessage.parse(share, GROUP),
                    message.epoch,
                    os.urandom,
                    encapsulate_mlkem,
                )
                return [self._with_client.answer]
        return self.rewrite_nonces(path, message)

    def rewrite_nonces(self, path: int, message: StepMessage) -> list[bytes]:
        """Return what goes on in the place of a message of path 1."""
        return [message.body]


class ThiefOfBoth(ShareThief):
    """Does the same on both paths: it is the peer of either end."""

    active: ClassVar[tuple[int, ...]] = PATHS

    def rewrite_nonces(self, path: int, message: StepMessage) -> list[bytes]:
        edge, client = self._with_edge, self._with_client
        match message.kind:
            case StepKind.NONCE if edge is not None:
                return [edge.nonce]
            case StepKind.BINDING if edge is not None and client is not None:
                edge.receive_binding(path, message)
                self._concluded = edge.conclude()
                nonce = StepMessage.parse(self.bodies[StepKind.NONCE], GROUP)
                return [client.receive_nonce(path, nonce)]
            case StepKind.FINISHED if self._concluded is not None and client is not None:
                keys = client.receive_finished(path, message)
                self.next = {"server": self._concluded.keys, "client": keys}
                return [self._concluded.finished]
        return [message.body]


class NonceThief(Thief):
    """Puts other nonces on path 1, with bindings that fit them, and hears the shares on path 0."""

    active: ClassVar[tuple[int, ...]] = (1,)

    def rewrite(self, path: int, message: StepMessage) -> list[bytes]:
        match message.kind:
            case StepKind.NONCE:
                return [encode_step_nonce(message.step, message.attempt, os.urandom(32))]
            case StepKind.BINDING:
                nonce = os.urandom(32)
                nonce_of_client = StepMessage.parse(self.bodies[StepKind.NONCE], GROUP).value
                share, answer = self.bodies[StepKind.SHARE], self.bodies[StepKind.ANSWER]
                bound = bind_step(self.stolen.label, nonce_of_client, nonce, share, answer)
                return [encode_step_binding(message.step, message.attempt, nonce, bound) + message.mac]
        return [message.body]


class SuppressingThief(Thief):
    """Keeps steps from happening: takes their messages off path 0 and says nothing."""

    active: ClassVar[tuple[int, ...]] = (0,)

    def rewrite(self, path: int, message: StepMessage) -> list[bytes]:
        return []


class OwnStepThief(Thief):
    """Begins a step of its own with the edge, over the one path that it is on."""

    active: ClassVar[tuple[int, ...]] = (0,)

    def pass_frame(self, path: int, sender: str, frame: bytes) -> list[bytes]:
        passed = super().pass_frame(path, sender, frame)
        if path == 0 and sender == "client" and not self._begun:
            self._begun = True
            own = StepAttempt(self.stolen, GROUP, 1, (0, 0), 0, os.urandom)
            passed += [self._channels[0, "client"].seal(STEP_TYPE, own.share)]
        return passed

    _begun = False


class ThiefAlone(ThiefOfBoth):
    """Breaks path 1, and does the same over path 0 once nothing else has worked for as long as an end waits for it."""

    active: ClassVar[tuple[int, ...]] = (0,)
    breaks: ClassVar[tuple[int, ...]] = (1,)


class Bench:
    """Both ends with two paths between them, in order and without delay, and a thief who hears and may act."""

    def __init__(self, make_thief: Callable[[KeySchedule], Thief]) -> None:
        secret, th = os.urandom(64), os.urandom(32)
        stolen, *keys = (KeySchedule(Mode.OPPORTUNISTIC, Aead.AES_128_GCM, [secret], th) for _ in range(3))
        self.thief = make_thief(stolen)
        steps = StepSettings(GROUP)
        self.ends = {name: Session(own, name, steps=steps) for name, own in zip(ENDS, keys, strict=True)}
        self.now = 0.0
        self.events: dict[str, list[SessionEvent]] = {name: [] for name in ENDS}
        self._closed: set[int] = set()
        for name, end in self.ends.items():
            for path in PATHS:
                self._note(name, end.add_path(path, FrameReader(), 0.01, self.now, ingress=path + 1))

    def run(self, seconds: float) -> None:
        """Move the clock on, timer by timer."""
        until = self.now + seconds
        self._exchange()
        while True:
            timers = [at for end in self.ends.values() if not end.over and (at := end.timer()) is not None]
            if not timers or min(timers) > until:
                break
            self.now = max(self.now, min(timers))
            for name, end in self.ends.items():
                self._note(name, end.on_timer(self.now))
            self._exchange()
        self.now = until

    def received(self, name: str) -> bytes:
        return b"".join(event.data for event in self.events[name] if isinstance(event, DataReceived))

    def error(self, name: str) -> SmkexError | None:
        """Why the session ended at one end; None while it runs."""
        failed = [event.error for event in self.events[name] if isinstance(event, SessionFailed)]
        return failed[0] if failed else None

    def break_paths(self) -> None:
        """End the paths that the thief breaks, by a reset or by what it forges under the keys that it has."""
        for path in self.thief.breaks:
            for name, end in self.ends.items():
                self._note(name, end.path_lost(path))

    def try_join(self) -> str:
        """Let the client join again over a path without an attacker; return the name of the error, or nothing."""
        client, edge = self.ends["client"], self.ends["server"]
        keys = client.find_join_keys(client.join_steps[0])
        assert keys is not None
        initiator = JoinInitiator(keys, bytes(SESSION_ID_LENGTH), FIRST_JOINED, os.urandom(NONCE_LENGTH))
        join = Join.parse(initiator.join)
        keys_of_edge = edge.find_join_keys(join.step)
        if keys_of_edge is None:
            return StepChanged.__name__
        seen = Observation(1, Endpoint(ip_address("192.0.2.1"), 49152))
        acceptor = JoinAcceptor(keys_of_edge, join, seen, os.urandom(NONCE_LENGTH))
        try:
            acceptor.verify(initiator.answer_challenge(acceptor.challenge)[0])
        except SmkexError as error:
            return type(error).__name__
        return ""

    def passive_only(self) -> bool:
        """Whether both ends report the last step as against passive thieves alone; they must agree."""
        steps = {
            event.active_on_one
            for events in self.events.values()
            for event in events
            if isinstance(event, StepCompleted)
        }
        if len(steps) != 1:
            raise LabFailed(f"the ends do not agree against whom the step was: {steps}")
        return not steps.pop()

    def request_step(self) -> None:
        self._note("client", self.ends["client"].request_step(self.now))
        self._exchange()

    def _exchange(self) -> None:
        """Carry frames until neither end sends any."""
        busy = True
        while busy:
            busy = False
            for name, end in self.ends.items():
                for path in PATHS:
                    while frame := end.data_to_send(path, self.now):
                        busy = True
                        for part in self.thief.pass_frame(path, name, frame):
                            self._note(OTHER[name], self.ends[OTHER[name]].receive(path, part, self.now))

    def _note(self, name: str, events: list[SessionEvent]) -> None:
        self.events[name] += events
        for event in events:
            if isinstance(event, PathDropped) and event.path not in self._closed:
                self._closed.add(event.path)
                self._note(OTHER[name], self.ends[OTHER[name]].path_lost(event.path))


@dataclass(frozen=True, slots=True)
class StateAttack:
    """One attack with a stolen state, and what must come of it."""

    name: str
    powers: Powers
    thief: type[Thief]
    expected: AttackOutcome
    error: str = ""
    joined: str = ""  # the error of a join afterwards, where the session goes on
    passive_only: bool = False  # whether both ends say that the step healed against passive thieves alone


ATTACKS = (
    StateAttack("listen after a step", Powers.PASSIVE, Thief, AttackOutcome.SAFE),
    StateAttack("own shares in a step", Powers.ONE, ShareThief, AttackOutcome.DETECTED, "StepMismatch"),
    StateAttack(
        "other nonces and bindings in a step", Powers.P_A, NonceThief, AttackOutcome.DETECTED, "StepMismatch"
    ),
    StateAttack(
        "keep steps from happening", Powers.ONE, SuppressingThief, AttackOutcome.DETECTED, "StepMissed"
    ),
    StateAttack("a step of its own with the edge", Powers.ONE, OwnStepThief, AttackOutcome.SAFE),
    StateAttack(
        "own shares and nonces in a step",
        Powers.TOGETHER,
        ThiefOfBoth,
        AttackOutcome.NOT_DETECTED,
        joined="MacMismatch",
    ),
    StateAttack(
        "the other path broken, then a step",
        Powers.ONE,
        ThiefAlone,
        AttackOutcome.NOT_DETECTED,
        joined="MacMismatch",
        passive_only=True,
    ),
)


def run_state_attack(attack: StateAttack) -> Result:
    """Exchange data, make a step, exchange more, and see what the thief has read of that."""
    bench = Bench(attack.thief)
    for end in bench.ends.values():
        end.write(BEFORE)
    bench.run(1)
    bench.break_paths()
    bench.request_step()
    bench.run(STEP_LIMIT + 2)
    for end in bench.ends.values():
        end.write(AFTER)
    bench.run(1)
    bench.thief.try_everything()
    error, at_edge = bench.error("client"), bench.error("server")
    whole = all(bench.received(name) == BEFORE + AFTER for name in ENDS)
    if error is not None:
        outcome = AttackOutcome.DETECTED
    elif not whole:
        raise LabFailed(f"{attack.name}: the stream did not arrive, and no end says why")
    else:
        outcome = AttackOutcome.NOT_DETECTED if AFTER in bench.thief.read else AttackOutcome.SAFE
    found = type(error).__name__ if error is not None else ""
    # a session that was not ended has made the step, and who was in the middle is out
    healed = error is not None or (
        [end.step for end in bench.ends.values()] == [1, 1]
        and bench.try_join() == attack.joined
        and bench.passive_only() == attack.passive_only
    )
    ok = outcome is attack.expected and found == attack.error and healed
    wanted = f"{attack.expected}{': ' if attack.error else ''}{attack.error}"
    edges = type(at_edge).__name__ if at_edge is not None else ""
    return Result(MODE, attack.name, attack.powers, outcome, found, edges, wanted, ok)
