"""The key steps of a session: when one begins, the one in progress, and the change of keys (docs/protocol).

The client begins steps, by age, by volume, or because either end asks. The edge seals under the new keys once a
StepFinished proves that the client holds them; the client once anything opens under them. At most one step is in
progress; what an attempt did not finish is begun afresh on other paths.
"""

import os
from dataclasses import dataclass, field
from itertools import permutations
from typing import Final

from smkex.core.errors import MisusedStream, StepMissed, TooManySteps, UnexpectedMessage, WrongPath
from smkex.core.events import StepCompleted
from smkex.core.keys.epoch_chain import EPOCH_SHIFT, EpochChain
from smkex.core.keys.key_agreement import Encapsulate, encapsulate_mlkem
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.session.control_state import ControlState
from smkex.core.session.path import NEVER, Path
from smkex.core.session.path_set import PathSet
from smkex.core.session.receiving_stream import ReceivingStream
from smkex.core.session.sending_stream import SendingStream
from smkex.core.session.step_exchange import ConcludedStep, Entropy, StepAnswerer, StepAttempt
from smkex.core.session.step_message import StepKind, StepMessage
from smkex.core.wire.frame import STEP_TYPE, SWITCH_TYPE
from smkex.core.wire.named_group import NamedGroup

STEP_AGE: Final = 600.0  # seconds after which a step is due
STEP_VOLUME: Final = 8 << 30  # bytes of both streams after which a step is due
STEP_INTERVAL: Final = 60.0  # seconds between a step and one that volume or the other end asks for
ASK_DELAY: Final = 30.0  # seconds that an edge leaves the client to begin a step by itself
ATTEMPT_INTERVAL: Final = 5.0  # seconds between two StepShares
ATTEMPT_LIMIT: Final = 30.0  # seconds after which an attempt is begun afresh though its paths seem to work
STEP_LIMIT: Final = 120.0  # seconds for a step while a path works; then the session ends
SECOND_PATH_WAIT: Final = 30.0  # seconds that a step which is due waits for a second path
FALLBACK_WAIT: Final = 20.0  # seconds without a second path after which an edge takes a step over one
SWITCH_LIMIT: Final = 10.0  # seconds for a path to change its control key, once another has
ATTEMPTS_BURST: Final = 16  # StepShares that an edge answers at once, beyond one each ATTEMPT_INTERVAL
CHECK_INTERVAL: Final = 1.0  # seconds
# what paths of an attempt are: one; two; two that enter the CDN apart; such that the state before the last step knew
ONE_PATH: Final = 0
TWO_PATHS: Final = 1
APART: Final = 2
PROVEN: Final = 3
EPOCH_LAG: Final = 4096  # epochs by which what a peer states may lie behind what has arrived


@dataclass(frozen=True, slots=True)
class StepSettings:
    """When steps are due, and what they draw on.

    `age` in seconds and `volume` in bytes of both streams since the step before; `group` is the session's.
    """

    group: NamedGroup = NamedGroup.X25519MLKEM768
    age: float = STEP_AGE
    volume: int = STEP_VOLUME
    entropy: Entropy = field(default=os.urandom, repr=False)
    encapsulate: Encapsulate = field(default=encapsulate_mlkem, repr=False)


class KeySteps:
    """The steps of one end. `keys` is the current schedule, of step `keys.step`; `completed` the last step."""

    def __init__(
        self,
        keys: KeySchedule,
        role: str,
        settings: StepSettings,
        paths: PathSet,
        out: SendingStream,
        incoming: ReceivingStream,
        state: ControlState,
    ) -> None:
        self.keys = keys
        self.completed: StepCompleted | None = None
        self.completed_at = -NEVER  # the last step, or the beginning of the session
        self.check_at = -NEVER
        self._role, self._peer = role, "server" if role == "client" else "client"
        self._settings = settings
        self._paths, self._out, self._incoming, self._state = paths, out, incoming, state
        self._switching = False  # whether a path may still have to change its control key
        self._age, self._volume_limit = settings.age, settings.volume
        self._volume_before = self._volume()
        self._requested = self._asked = False
        self._due_since = NEVER
        self._active_on_one = False  # whether the attempt throws out who is active on one path
        # the client's attempt, and what it gave until the edge is known to use it
        self._attempt: StepAttempt | None = None
        self._concluded: ConcludedStep | None = None
        self._attempts = 0
        self._attempt_at = -NEVER
        self._missed_at = NEVER
        # the edge's
        self._answerer: StepAnswerer | None = None
        self._early_nonce: tuple[int, StepMessage] | None = None
        self._two_worked_at = -NEVER  # when two paths worked last
        self._tokens, self._tokens_at = float(ATTEMPTS_BURST), -NEVER

    # --- when

    @property
    def candidate(self) -> KeySchedule | None:
        """At the client: the schedule that the edge may use already."""
        return None if self._concluded is None else self._concluded.keys

    @property
    def timer_at(self) -> float:
        """When to call `check` though nothing arrives; NEVER while there is nothing to begin or to wait for."""
        begins = self._due_since != NEVER and self._role == "client"
        return self.check_at if begins or self._switching else NEVER

    def schedule(self, age: float, volume: int) -> None:
        """Make steps due each `age` seconds and each `volume` bytes."""
        self._age, self._volume_limit = age, volume

    def request(self) -> None:
        """Begin a step as soon as possible; an edge asks the client to."""
        self._requested = True
        self.check_at = -NEVER

    def ask(self, step: int) -> None:
        """The edge asks for `step`: not earlier than STEP_INTERVAL after the step before."""
        if step == self.keys.step + 1 and self._role == "client":
            self._asked = True

    def check(self, now: float) -> bool:
        """Begin, repeat or ask for a step where one is due; return whether the control state has changed.

        Raises `StepMissed`.
        """
        self.check_at = now + CHECK_INTERVAL
        if self.completed_at == -NEVER:
            self.completed_at = now
        if len(self._usable_paths()) > 1:
            self._two_worked_at = now
        if self._due_since == NEVER:
            if not self._is_due(now):
                return False
            self._due_since = now
        if self._role == "server":
            wanted = self.keys.step + 1
            changed = self._state.step_wanted != wanted
            self._state.step_wanted = wanted
            return changed
        if self._attempts:
            self._check_progress(now)
        elif now >= self._attempt_at + ATTEMPT_INTERVAL:
            self._missed_at = now + STEP_LIMIT
            self._begin_attempt(now)
        return False

    def lagging_paths(self, now: float) -> list[int]:
        """Return the paths whose peer has not changed the control key in time, though it has on another.

        One that lags two steps behind is returned at once: its key is erased.
        """
        if not self._switching:
            return []
        lagging = self._lagging()
        self._switching = bool(lagging)
        if now >= self.completed_at + SWITCH_LIMIT and len(lagging) < len(self._paths.open):
            return lagging
        return [number for number in lagging if self._paths.open[number].opener.step < self.keys.step - 1]

    def _lagging(self) -> list[int]:
        return [number for number, path in self._paths.open.items() if path.opener.step != self.keys.step]

    def _is_due(self, now: float) -> bool:
        since = now - self.completed_at
        if self._role == "server":
            since -= ASK_DELAY
        if self._requested or since >= self._age:
            return True
        large = self._volume() - self._volume_before >= self._volume_limit
        return since >= STEP_INTERVAL and (self._asked or large)

    def _volume(self) -> int:
        return self._out.next_dsn + self._incoming.next

    # --- the client's side

    def _check_progress(self, now: float) -> None:
        if all(path.stalled for path in self._paths.open.values()):
            self._missed_at = now + STEP_LIMIT
        elif now >= self._missed_at:
            raise StepMissed
        waited = now - self._attempt_at
        if waited >= ATTEMPT_INTERVAL and (waited >= self._patience() or not self._attempt_is_possible()):
            self._begin_attempt(now)

    def _patience(self) -> float:
        """Return the seconds until an attempt is begun afresh though its paths seem to work.

        An edge answers none whose paths it would not choose. Each attempt without an answer waits longer: its path may
        be slow.
        """
        if self._attempt is None or self._attempt.is_answered:
            return ATTEMPT_LIMIT
        return min(ATTEMPT_LIMIT, ATTEMPT_INTERVAL * self._attempts)

    def _attempt_is_possible(self) -> bool:
        """Whether the paths work on which messages of the attempt are still to come."""
        attempt = self._attempt
        if attempt is None:
            return False
        usable = self._usable_paths()
        return attempt.share_path in usable and attempt.nonce_path in usable

    def _usable_paths(self) -> list[int]:
        ready = [number for number, path in self._paths.open.items() if not path.stalled]
        return sorted(ready, key=lambda number: self._paths.open[number].base)

    def _is_settled(self) -> bool:
        """Whether nothing is left of the step before."""
        acknowledged = self._out.acknowledged >= self._state.step_from
        return acknowledged and self._incoming.settled and not self._lagging()

    def _choose_paths(self, now: float) -> tuple[int, int] | None:
        """Return the paths of shares and of nonces, of which each attempt takes others; one alone after a wait."""
        usable = self._usable_paths()
        pairs = list(permutations(usable, 2))
        if pairs:
            ranks = [self._rank(*pair) for pair in pairs]
            best = [pair for pair, rank in zip(pairs, ranks, strict=True) if rank == max(ranks)]
            return best[self._attempts % len(best)]
        only = len(self._paths.used) == 1 or now >= self._due_since + SECOND_PATH_WAIT
        return (usable[0], usable[0]) if usable and only else None

    def _rank(self, first: int, second: int) -> int:
        """Rank the paths of an attempt by what a thief of the state would need, to be on both of them."""
        one, other = self._paths.open.get(first), self._paths.open.get(second)
        if one is None or other is None or one is other:
            return ONE_PATH
        if not 0 != one.ingress != other.ingress != 0:
            return TWO_PATHS
        # who stole the state since the step before joined none that were there before it
        proven = max(one.joined_step, other.joined_step) < self.keys.step
        return PROVEN if proven else APART

    def _accepts_paths(self, share_path: int, nonce_path: int, now: float) -> bool:
        """Whether no paths that work rank above those of an attempt: a thief would choose those that it holds."""
        usable = self._usable_paths()
        rank = self._rank(share_path, nonce_path)
        if rank == ONE_PATH and len(self._paths.used) > 1 and now < self._two_worked_at + FALLBACK_WAIT:
            return False
        return all(self._rank(*pair) <= rank for pair in permutations(usable, 2))

    def _begin_attempt(self, now: float) -> None:
        paths = self._choose_paths(now) if self._is_settled() else None
        if paths is None:
            return
        self._attempts += 1
        self._attempt_at = now
        self._active_on_one = self._rank(*paths) >= APART
        epoch = self._out.next_dsn >> EPOCH_SHIFT
        settings = self._settings
        attempt = StepAttempt(self.keys, settings.group, self._attempts, paths, epoch, settings.entropy)
        self._attempt = attempt
        self._send(attempt.share_path, attempt.share)
        self._send(attempt.nonce_path, attempt.nonce)

    def _conclude(self, attempt: StepAttempt) -> None:
        """Send StepFinished once both answers are there; both schedules open records until the edge's is known."""
        concluded = attempt.conclude()
        if concluded is None:
            return
        self._check_epoch(concluded.server_epoch)
        chain = EpochChain(
            concluded.keys, self._peer, self._incoming.next >> EPOCH_SHIFT, concluded.server_epoch
        )
        self._attempt, self._concluded = None, concluded
        self._incoming.candidate = chain
        self._send(concluded.nonce_path, concluded.finished)

    def _drop_concluded(self) -> None:
        """The edge answers another attempt, so it takes no StepFinished of the one before."""
        if self._concluded is not None:
            self._concluded.keys.erase()
            self._concluded = None
        if self._incoming.candidate is not None:
            self._incoming.candidate.erase()
            self._incoming.candidate = None

    # --- messages

    def receive(self, path: int, body: bytes, now: float) -> StepCompleted | None:
        """Take a message of a step that came on `path`; return what it completes, at the edge.

        Messages of other steps and attempts than the present one are ignored. Raises `SmkexError`.
        """
        message = StepMessage.parse(body, self._settings.group)
        if (message.kind in (StepKind.ANSWER, StepKind.BINDING)) != (self._role == "client"):
            raise UnexpectedMessage(f"a {message.kind.name} of a key step came to the {self._role}")
        if message.step != self.keys.step + 1:
            return None
        if self._role == "client":
            self._receive_as_client(path, message)
            return None
        match message.kind:
            case StepKind.SHARE:
                self._receive_share(path, message, now)
            case StepKind.NONCE:
                self._receive_nonce(path, message)
            case _:
                return self._receive_finished(path, message, now)
        return None

    def _receive_as_client(self, path: int, message: StepMessage) -> None:
        attempt = self._attempt
        if attempt is None or message.attempt != attempt.attempt:
            return
        if message.kind is StepKind.ANSWER:
            self._drop_concluded()
            attempt.receive_answer(path, message)
        else:
            attempt.receive_binding(path, message)
        self._conclude(attempt)

    def _receive_share(self, path: int, message: StepMessage, now: float) -> None:
        self._spend_token(now)
        if message.share_path != path:
            raise WrongPath(f"a StepShare of path {message.share_path} came on path {path}")
        if not self._accepts_paths(path, message.nonce_path, now):
            return  # the client begins another attempt
        self._check_epoch(message.epoch)
        epoch = self._out.next_dsn >> EPOCH_SHIFT
        settings = self._settings
        answerer = StepAnswerer(
            self.keys, settings.group, message, epoch, settings.entropy, settings.encapsulate
        )
        self._drop_answerer()
        self._answerer = answerer
        self._active_on_one = self._rank(path, message.nonce_path) == PROVEN
        self._send(path, answerer.answer)
        early, self._early_nonce = self._early_nonce, None
        if early is not None:
            self._receive_nonce(*early)

    def _drop_answerer(self) -> None:
        if self._answerer is not None and self._answerer.candidate is not None:
            self._answerer.candidate.erase()
        self._answerer = None

    def _receive_nonce(self, path: int, message: StepMessage) -> None:
        answerer = self._answerer
        if answerer is None or message.attempt > answerer.attempt:
            self._early_nonce = (path, message)  # its StepShare is still on another path
        elif message.attempt == answerer.attempt and answerer.candidate is None:
            self._send(path, answerer.receive_nonce(path, message))

    def _receive_finished(self, path: int, message: StepMessage, now: float) -> StepCompleted | None:
        answerer = self._answerer
        if answerer is None or message.attempt != answerer.attempt:
            return None
        keys = answerer.receive_finished(path, message)
        chain = EpochChain(keys, self._peer, self._incoming.next >> EPOCH_SHIFT, answerer.client_epoch)
        return self._switch(keys, chain, answerer.server_epoch, now)

    def _spend_token(self, now: float) -> None:
        """Raise `TooManySteps` for more StepShares than an edge answers."""
        gained = (now - self._tokens_at) / ATTEMPT_INTERVAL
        self._tokens = min(float(ATTEMPTS_BURST), self._tokens + gained)
        self._tokens_at = now
        if self._tokens < 1:
            raise TooManySteps
        self._tokens -= 1

    def _check_epoch(self, epoch: int) -> None:
        """Raise `MisusedStream` where a peer's chain would begin ahead of its window or absurdly far behind."""
        current = self._incoming.next >> EPOCH_SHIFT
        if not current - EPOCH_LAG <= epoch <= current + 1:
            raise MisusedStream(f"a key step begins at epoch {epoch}, the stream is at {current}")

    def _send(self, number: int, body: bytes) -> None:
        path = self._paths.open[number]
        path.outgoing.append(path.sealer.seal_items(body, STEP_TYPE))

    # --- the change of keys

    def complete(self, now: float) -> StepCompleted:
        """At the client: something opened under the candidate, so the edge has it and uses it."""
        concluded, chain = self._concluded, self._incoming.candidate
        if concluded is None or chain is None:
            raise UnexpectedMessage("no key step is to be completed")
        return self._switch(concluded.keys, chain, concluded.client_epoch, now)

    def _switch(self, keys: KeySchedule, incoming: EpochChain, out_epoch: int, now: float) -> StepCompleted:
        """Seal under `keys` from the next record and control message on; erase what the step before leaves."""
        out, paths = self._out, self._paths.open
        for path in paths.values():
            path.opener.prepare()
        old, self.keys = self.keys, keys
        out.keys.erase()
        out.keys = EpochChain(keys, self._role, out.next_dsn >> EPOCH_SHIFT, out_epoch)
        self._incoming.begin_step(incoming)
        old.erase()
        self._state.begin_step(keys.step, out.next_dsn)
        for path in paths.values():
            path.sealer = path.sealer.renew(keys)
            path.outgoing.append(path.sealer.seal_items(self._build_items(path, now), SWITCH_TYPE))
        self._attempt = self._concluded = self._answerer = self._early_nonce = None
        self._requested = self._asked = False
        self._switching, self.check_at = True, now
        self._attempts, self._due_since, self._missed_at = 0, NEVER, NEVER
        self.completed_at = now
        self._volume_before = self._volume()
        self.completed = StepCompleted(keys.step, self._active_on_one)
        return self.completed

    def _build_items(self, path: Path, now: float) -> bytes:
        return self._state.build_items(path, self._incoming, self._out.final, self._paths.backup, now)
