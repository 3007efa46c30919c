"""The client's side of the key exchange. Every transition of it is in this file.

    AWAIT_SERVER_SHARE --ServerShare on 0--> AWAIT_SERVER_NONCE --ServerNonce on 1--> DONE

It returns what to send on which path and receives whole frames with the path they arrived on. The driver opens path 1
to the locator of `edge_id`, which is known from AWAIT_SERVER_NONCE on, and enforces the deadline.
"""

import hmac
from enum import Enum, auto
from functools import partial
from ipaddress import ip_network

from smkex.core.errors import (
    BindingMismatch,
    CertificateRefused,
    FleetKeyChanged,
    MacMismatch,
    MalformedMessage,
    NoCommonAead,
    NoCommonGroup,
    NoCommonMode,
    SharedPath,
    UnexpectedMessage,
    WrongPath,
)
from smkex.core.handshake.config import ClientConfig, ClientEntropy
from smkex.core.handshake.established import Established
from smkex.core.handshake.first_path import FirstPath
from smkex.core.handshake.server_info import TlsOutcome
from smkex.core.keys.certificate import EdgeCertificate, fleet_key_fingerprint
from smkex.core.keys.key_agreement import ClientKeys
from smkex.core.keys.key_schedule import KeySchedule, commit_to_nonce, compute_binding, transcript_hash
from smkex.core.keys.name_key import NameKey
from smkex.core.keys.sealed_name import HpkeSeal, hpke_seal, seal_server_name
from smkex.core.wire.frame import FrameType
from smkex.core.wire.messages import (
    NAME_KEY,
    SEALED_NAME,
    ClientNonce,
    ClientShare,
    Finished,
    LocatorKind,
    Mode,
    Observation,
    Options,
    ServerNonce,
    ServerShare,
    parse_abort,
)
from smkex.core.wire.named_group import NamedGroup


class ClientState(Enum):
    AWAIT_SERVER_SHARE = auto()
    AWAIT_SERVER_NONCE = auto()
    DONE = auto()
    FAILED = auto()


_EXPECTED = {
    ClientState.AWAIT_SERVER_SHARE: (FrameType.SERVER_SHARE, 0),
    ClientState.AWAIT_SERVER_NONCE: (FrameType.SERVER_NONCE, 1),
}


class ClientHandshake:
    """One attempt. `client_share` goes out on path 0, `client_nonce` on path 1, `finished(path)` on every path.

    In mode mtls path 0 carries TLS: start with `after_tls` once it has finished.
    """

    def __init__(
        self,
        config: ClientConfig,
        nonce: ClientNonce,
        state: ClientState,
        *,
        private: ClientKeys | None = None,
        share: ClientShare | None = None,
        first: FirstPath | None = None,
    ) -> None:
        """Common part of `begin` and `after_tls`."""
        self._config = config
        self._client_nonce = nonce
        self.state = state
        self._private = private
        self._client_share = share
        self._first = first
        self._established: Established | None = None

    @classmethod
    def begin(
        cls, config: ClientConfig, entropy: ClientEntropy, seal: HpkeSeal = hpke_seal
    ) -> "ClientHandshake":
        """Start with a ClientShare. Use `entropy` for this handshake only; `seal` draws the randomness of HPKE."""
        private = ClientKeys(entropy.private_key, entropy.kem_seed, config.groups)
        commitment = commit_to_nonce(entropy.session_id, entropy.nonce)

        def build(server_name: str, options: Options) -> ClientShare:
            return ClientShare.build(
                entropy.session_id,
                config.modes,
                config.aeads,
                commitment,
                private.shares,
                server_name,
                options,
            )

        name, key = config.server_name, config.name_key
        if key is not None and name:
            share = seal_server_name(key, name, lambda value: build("", ((SEALED_NAME, value),)), seal)
        else:
            share = build(name, ())
        nonce = ClientNonce.build(entropy.session_id, entropy.nonce)
        return cls(config, nonce, ClientState.AWAIT_SERVER_SHARE, private=private, share=share)

    @classmethod
    def after_tls(cls, config: ClientConfig, outcome: TlsOutcome, nonce: bytes) -> "ClientHandshake":
        """Continue after TLS on path 0, whose ClientInfo committed to `nonce`. Raises as `receive`."""
        first = FirstPath.from_tls(outcome)
        made = cls(
            config, ClientNonce.build(outcome.session_id, nonce), ClientState.AWAIT_SERVER_NONCE, first=first
        )
        made._check_group(first.group)
        made._check_locator(first.locator)
        return made

    @property
    def client_share(self) -> bytes:
        if self._client_share is None:
            raise UnexpectedMessage("in mode mtls there is no ClientShare")
        return self._client_share.frame

    @property
    def client_nonce(self) -> bytes:
        return self._client_nonce.frame

    @property
    def locator(self) -> LocatorKind:
        """How the owner's id is carried on path 1; known from AWAIT_SERVER_NONCE until the end."""
        return self._require_first().locator

    @property
    def edge_id(self) -> int:
        """The owner's id, as received on path 0."""
        return self._established.edge_id if self._established else self._require_first().edge_id

    @property
    def established(self) -> Established:
        if self._established is None:
            raise UnexpectedMessage("the handshake is not done")
        return self._established

    def finished(self, path: int) -> bytes:
        """The frame of Finished for `path`, once DONE."""
        return Finished.build(path, self.established.keys.finished(path)).frame

    def receive(self, path: int, kind: FrameType, frame: bytes) -> ClientState:
        """Process one whole frame that arrived on `path`.

        Raises a subclass of `SmkexError`, after which the attempt is over: the driver sends its code as Abort
        on every path.
        """
        try:
            self._receive(path, kind, frame)
        except Exception:
            self.drop()
            raise
        return self.state

    def drop(self) -> None:
        """Discard all secrets and reject every later message."""
        self._private = self._first = None
        if self.state is not ClientState.DONE:
            self.state = ClientState.FAILED

    def _receive(self, path: int, kind: FrameType, frame: bytes) -> None:
        if kind is FrameType.ABORT:
            raise parse_abort(frame)
        if self.state not in _EXPECTED or kind is not _EXPECTED[self.state][0]:
            raise UnexpectedMessage(f"{kind.name} came in state {self.state.name}")
        if path != _EXPECTED[self.state][1]:
            raise WrongPath(f"{kind.name} came on path {path}")
        if kind is FrameType.SERVER_SHARE:
            self._process_server_share(ServerShare.parse(frame))
        else:
            self._process_server_nonce(ServerNonce.parse(frame))

    def _process_server_share(self, message: ServerShare) -> None:
        if message.mode not in self._config.modes:
            raise NoCommonMode(f"the edge chose {message.mode.name}, which was not offered")
        if message.aead not in self._config.aeads:
            raise NoCommonAead(f"the edge chose {message.aead.name}, which was not offered")
        self._check_group(message.group)
        self._check_locator(message.locator)
        certificate: EdgeCertificate | None = None
        if message.mode is Mode.TOFU:
            certificate = self._verify_certificate(message)
        elif message.certified_share:
            raise MalformedMessage("ServerShare carries a certified share, but its mode is not tofu")
        assert self._private is not None  # in the state that takes a ServerShare
        assert self._client_share is not None
        secrets = [self._private.agree(message.group, message.share)]
        if certificate is not None:
            secrets.append(self._private.exchange_certified(certificate.share))
        self._private = None
        self._first = FirstPath(
            self._client_share.session_id,
            self._client_share.frame,
            message.frame,
            message.mode,
            message.aead,
            message.group,
            message.edge_id,
            message.locator,
            message.observed,
            self._client_share.commitment,
            secrets,
            certificate,
            name_key=dict(message.options).get(NAME_KEY, b""),
        )
        self.state = ClientState.AWAIT_SERVER_NONCE

    def _check_group(self, group: NamedGroup) -> None:
        if group not in self._config.groups:
            raise NoCommonGroup(f"the edge chose {group.name}, which was not offered")

    def _check_locator(self, locator: LocatorKind) -> None:
        if self._config.locator not in (None, locator):
            raise UnexpectedMessage(f"the edge chose a {locator.name} locator, which was not offered")

    def _verify_certificate(self, message: ServerShare) -> EdgeCertificate:
        certificate = EdgeCertificate.parse(message.certified_share)
        certificate.verify(message.edge_id, self._config.now)
        return certificate

    def _check_fleet_key(self, certificate: EdgeCertificate) -> str:
        """Return the fleet key's fingerprint. After binding and MAC: before them, one path alone could have made it up.

        Raises `FleetKeyChanged`, `CertificateRefused`.
        """
        known, shown = self._config.fleet_keys, fleet_key_fingerprint(certificate.fleet_key)
        if known and shown not in known:
            raise FleetKeyChanged(f"remembered {', '.join(sorted(known))}, shown {shown}")
        stated = self._config.stated_fleet_keys
        if not known and stated and shown not in stated:
            raise FleetKeyChanged(f"DNS states {', '.join(sorted(stated))}, shown {shown}")
        certificate.check_floor(known.get(shown, 0))
        return shown

    def _process_server_nonce(self, message: ServerNonce) -> None:
        first = self._require_first()
        expected = compute_binding(
            first.mode, self._client_nonce, message.nonce, first.first, first.second, message.rest
        )
        if not hmac.compare_digest(expected, message.binding):
            raise BindingMismatch
        th = transcript_hash(first.first, first.second, self._client_nonce, message.without_mac)
        log = self._config.key_log
        report = partial(log, first.session_id) if log is not None else None
        keys = KeySchedule(first.mode, first.aead, first.secrets, th, report)
        if not hmac.compare_digest(keys.server_mac(), message.mac):
            raise MacMismatch
        certificate = first.certificate
        fleet_key = self._check_fleet_key(certificate) if certificate else None
        self._established = Established(
            keys,
            first.mode,
            first.group,
            first.session_id,
            first.edge_id,
            (first.observed, message.observed),
            self._check_paths(first.observed, message.observed),
            fleet_key,
            certificate.floor if certificate else 0,
            name=self._name_privacy(),
            name_key=self._take_name_key(first.name_key, certificate),
        )
        self._first = None
        self.state = ClientState.DONE

    def _name_privacy(self) -> str:
        if self._client_share is not None and self._client_share.sealed_name is not None:
            return "sealed"
        return "clear" if self._config.server_name else "none"

    def _take_name_key(self, given: bytes, certificate: EdgeCertificate | None) -> NameKey | None:
        """Return the newest name key. Raises `CertificateRefused` or `MalformedMessage` for one not of the fleet."""
        held = self._config.name_key
        if not given or certificate is None:
            return held
        shown = NameKey.parse(given)
        shown.verify()
        if shown.fleet_key != certificate.fleet_key:
            raise CertificateRefused("the name key is of another fleet key than the edge's certificate")
        return shown if shown.replaces(held) else held

    def _check_paths(self, first: Observation, second: Observation) -> tuple[str, ...]:
        """Check how the edge saw both subflows, which binding and MAC have just authenticated."""
        if first.client.address == second.client.address:
            if not self._config.allow_shared_path:
                raise SharedPath(f"the edge saw both paths come from {first.client.address}")
            return ("shared-path",)
        if self._config.strict_paths:
            if first.ingress_id == second.ingress_id:
                raise SharedPath(f"both paths enter the CDN at edge {first.ingress_id}")
            length = 24 if first.client.address.version == 4 else 48
            if second.client.address in ip_network((first.client.address, length), strict=False):
                raise SharedPath(f"both paths come from one /{length}")
        return ()

    def _require_first(self) -> FirstPath:
        if self._first is None:
            raise UnexpectedMessage("path 0 has not finished, or the handshake is done")
        return self._first
