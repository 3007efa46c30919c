"""The edge's side of the key exchange. Every transition of it is in this file.

Built from a ClientShare, it answers with ServerShare; each ClientNonce that opens its commitment becomes a candidate
with its own nonce and keys; the candidate under which a Finished verifies wins, so an attacker who races a nonce on
path 1 does not block the client. `confirmed` holds the paths whose Finished verified; the client is path-confirmed when
path 1 is among them.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from smkex.core.errors import (
    CommitmentMismatch,
    Draining,
    FinishedMismatch,
    NoCommonAead,
    NoCommonGroup,
    NoCommonMode,
    TooManyCandidates,
    UnexpectedMessage,
    WrongPath,
)
from smkex.core.handshake.config import ServerConfig
from smkex.core.handshake.established import Established
from smkex.core.handshake.first_path import FirstPath
from smkex.core.handshake.server_info import TlsOutcome
from smkex.core.keys.key_agreement import (
    Encapsulate,
    answer_share,
    encapsulate_mlkem,
    exchange_x25519,
    x25519_share,
)
from smkex.core.keys.key_schedule import KeySchedule, commit_to_nonce, compute_binding, transcript_hash
from smkex.core.keys.sealed_name import open_server_name
from smkex.core.wire.messages import (
    NAME_KEY,
    NONCE_LENGTH,
    Aead,
    ClientNonce,
    ClientShare,
    Finished,
    KeyShares,
    Mode,
    Observation,
    ServerNonce,
    ServerShare,
)
from smkex.core.wire.named_group import NamedGroup


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair of nonces by the keys that it gives, the subflow that it came on, and how the edge saw that."""

    subflow: int
    observed: Observation
    keys: KeySchedule = field(repr=False)


def _choose_mode(offered: tuple[int, ...], accepted: tuple[Mode, ...]) -> Mode:
    for mode in accepted:
        if mode in offered:
            return mode
    raise NoCommonMode


def _choose_aead(offered: tuple[int, ...], accepted: tuple[Aead, ...]) -> Aead:
    for aead in offered:
        for own in accepted:
            if own == aead:
                return own
    raise NoCommonAead


def _choose_share(offered: KeyShares, accepted: tuple[NamedGroup, ...]) -> tuple[NamedGroup, bytes]:
    shares = dict(offered)
    for group in accepted:
        if group in shares:
            return group, shares[group]
    raise NoCommonGroup


def _read_name(message: ClientShare, config: ServerConfig) -> tuple[str, bool]:
    """Return the server name, and whether it is under the name key that clients are given."""
    if message.sealed_name is None:
        return message.server_name, False
    name, key = open_server_name(message, config.name_keys)
    return name, key is config.name_keys[0]


class Confirmation:
    """The paths whose Finished verified. It outlives the handshake, of which it holds nothing else."""

    __slots__ = ("paths",)

    def __init__(self) -> None:
        self.paths: frozenset[int] = frozenset()

    def has_path_1(self) -> bool:
        """Whether the client has proved on path 1 that both paths gave it the same keys."""
        return 1 in self.paths


class ServerHandshake:
    """One handshake. Subflow 0 is the one that ClientShare came on; others are numbered by the caller."""

    def __init__(self, config: ServerConfig, first: FirstPath) -> None:
        """Continue with the result of path 0; see `answer_client_share` and `after_tls`."""
        self._config = config
        self._first = first
        self._secrets: Sequence[bytes] = first.secrets
        self._candidates: dict[int, Candidate] = {}
        self._winner: Candidate | None = None
        self.confirmation = Confirmation()

    @classmethod
    def answer_client_share(
        cls,
        config: ServerConfig,
        client_share: bytes,
        observed: Observation,
        private_key: bytes,
        encapsulate: Encapsulate = encapsulate_mlkem,
    ) -> "ServerHandshake":
        """Answer a ClientShare: `server_share`. Raises a subclass of `SmkexError`.

        `private_key` (32 fresh random bytes) is used for this session alone and dropped with it; `encapsulate` draws
        the randomness of ML-KEM.
        """
        message = ClientShare.parse(client_share)
        if config.draining:
            raise Draining
        server_name, up_to_date = _read_name(message, config)
        private = X25519PrivateKey.from_private_bytes(private_key)
        mode = _choose_mode(message.modes, config.modes)
        long_term = config.long_term if mode is Mode.TOFU else None
        if mode is Mode.TOFU and long_term is None:
            raise NoCommonMode("mode tofu was chosen, but the edge has no certified key")
        aead = _choose_aead(message.aeads, config.aeads)
        group, offered = _choose_share(message.shares, config.groups)
        share, secret = answer_share(group, offered, private, encapsulate)
        secrets = [secret]
        if long_term is not None:
            certified = X25519PrivateKey.from_private_bytes(long_term.private_key)
            secrets.append(exchange_x25519(certified, x25519_share(offered)))
        locator = config.locator_towards(observed.client)
        given = config.name_keys[:1] if long_term is not None and not up_to_date else ()
        answer = ServerShare.build(
            mode,
            aead,
            config.edge_id,
            locator,
            observed,
            group,
            share,
            long_term.certificate.encode() if long_term else b"",
            tuple((NAME_KEY, key.signed.encode()) for key in given),
        )
        first = FirstPath(
            message.session_id,
            message.frame,
            answer.frame,
            mode,
            aead,
            group,
            config.edge_id,
            locator,
            observed,
            message.commitment,
            secrets,
            server_name=server_name,
        )
        return cls(config, first)

    @classmethod
    def after_tls(cls, config: ServerConfig, outcome: TlsOutcome) -> "ServerHandshake":
        """Continue after TLS on path 0 (mode mtls), whose ServerInfo was sent. Raises `NoCommonGroup`."""
        first = FirstPath.from_tls(outcome)
        if first.group not in config.groups:
            raise NoCommonGroup(f"TLS chose {first.group.name}, which this edge refuses")
        return cls(config, first)

    @property
    def session_id(self) -> bytes:
        return self._first.session_id

    @property
    def server_name(self) -> str:
        return self._first.server_name

    @property
    def server_share(self) -> bytes:
        """What answers the ClientShare: a frame; in mode mtls ServerInfo, which TLS has carried already."""
        return self._first.second

    @property
    def winner(self) -> int | None:
        """The subflow of the candidate that won: this session's path 1."""
        return None if self._winner is None else self._winner.subflow

    @property
    def confirmed(self) -> frozenset[int]:
        """The paths whose Finished verified."""
        return self.confirmation.paths

    @property
    def path_confirmed(self) -> bool:
        return self.confirmation.has_path_1()

    @property
    def established(self) -> Established:
        if self._winner is None:
            raise UnexpectedMessage("no Finished verified yet")
        return Established(
            self._winner.keys,
            self._first.mode,
            self._first.group,
            self.session_id,
            self._config.edge_id,
            (self._first.observed, self._winner.observed),
            server_name=self._first.server_name,
        )

    def receive_nonce(self, subflow: int, frame: bytes, observed: Observation, nonce: bytes) -> bytes:
        """Process a ClientNonce that came on `subflow`; return the frame of its ServerNonce.

        `nonce` is 32 fresh random bytes. Raises `CommitmentMismatch`, which concerns this subflow alone,
        `TooManyCandidates`, `UnexpectedMessage` once a Finished verified.
        """
        # once the secrets are discarded, keys derived without them would be public
        if self._winner is not None or not self._secrets or subflow in self._candidates or subflow == 0:
            raise UnexpectedMessage(
                "a ClientNonce came on path 0, twice on one subflow, or after the handshake"
            )
        message = ClientNonce.parse(frame)
        opened = commit_to_nonce(self.session_id, message.nonce)
        if not hmac.compare_digest(opened, self._first.commitment):
            raise CommitmentMismatch
        if len(self._candidates) >= self._config.maximum_candidates:
            raise TooManyCandidates
        unbound = ServerNonce.encode_unbound(nonce, observed)
        first = self._first
        bound = compute_binding(first.mode, message, nonce, first.first, first.second, unbound[NONCE_LENGTH:])
        without_mac = ServerNonce.encode_without_mac(unbound, bound)
        th = transcript_hash(first.first, first.second, message, without_mac)
        keys = KeySchedule(first.mode, first.aead, self._secrets, th)
        self._candidates[subflow] = Candidate(subflow, observed, keys)
        return without_mac + keys.server_mac()

    def receive_finished(self, subflow: int, frame: bytes) -> None:
        """Verify a Finished that came on `subflow`; raises `FinishedMismatch` or `WrongPath`, which end the session.

        For an invalid Finished on a candidate's subflow that is not the winner's, the caller closes that subflow
        alone: see `is_candidate_only`.
        """
        message = Finished.parse(frame)
        path = 0 if subflow == 0 else 1
        if message.path != path:
            raise WrongPath(f"a Finished of path {message.path} came on path {path}")
        if path in self.confirmed and subflow in (0, self.winner):
            raise UnexpectedMessage("a second Finished came on one path")
        for candidate in self._matching_candidates(subflow):
            if hmac.compare_digest(candidate.keys.finished(path), message.verify):
                if self._winner is None:
                    self._winner = candidate
                    self._candidates = {candidate.subflow: candidate}
                    self._discard_secrets()
                self.confirmation.paths |= {path}
                return
        raise FinishedMismatch

    def is_candidate_only(self, subflow: int) -> bool:
        """Whether what happens on `subflow` concerns only itself: it is neither path 0 nor the winner's.

        This holds for the only candidate so far too: it may be an attacker's, with the client's still to come.
        """
        return subflow not in (0, self.winner)

    def drop_candidate(self, subflow: int) -> None:
        """Drop the candidate of a closed subflow."""
        if subflow != self.winner:
            self._candidates.pop(subflow, None)

    def drop(self) -> None:
        """Discard all secrets."""
        self._discard_secrets()
        self._candidates.clear()

    def _discard_secrets(self) -> None:
        self._secrets = ()
        self._first.secrets = ()

    def _matching_candidates(self, subflow: int) -> list[Candidate]:
        if subflow == 0:
            return [self._winner] if self._winner else list(self._candidates.values())
        return [self._candidates[subflow]] if subflow in self._candidates else []
