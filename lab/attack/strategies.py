"""What an attacker does with the messages that pass it. Each class is one strategy for one path.

`to_edge` and `to_client` take a handshake frame and return what is sent on instead. Powers as in the papers: the
attacker knows everything public, has our own code, and what its `AttackerChannel` brings, if it has one.
"""

import asyncio
import os
from ipaddress import IPv4Address

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lab.attack.talk import AttackerChannel
from lab.topology import SERVICE_NAME
from smkex.core.errors import AbortCode
from smkex.core.keys.key_agreement import KEM_SEED_LENGTH, ClientKeys, answer_share
from smkex.core.keys.key_schedule import KeySchedule, compute_binding, transcript_hash
from smkex.core.keys.name_key import NameKey
from smkex.core.wire.codec import u16
from smkex.core.wire.frame import HEADER_LENGTH, FrameType
from smkex.core.wire.messages import (
    DIGEST_LENGTH,
    NONCE_LENGTH,
    SESSION_ID_LENGTH,
    Aead,
    ClientNonce,
    ClientShare,
    Endpoint,
    Finished,
    KeyShares,
    LocatorKind,
    Mode,
    Observation,
    ServerNonce,
    ServerShare,
    encode_abort,
)
from smkex.core.wire.named_group import NamedGroup

RECORD = 1024  # bytes: what is smaller may be a control message
# what pairs that never talk agreed on beforehand
AGREED = bytes(range(32))


class Strategy:
    """Passes everything on as it is: a passive attacker, or the base of an active one."""

    def __init__(self, talk: AttackerChannel | None) -> None:
        self._talk = talk
        self.acted = False  # on the running session, though every frame is as it was

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        return frame

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        return frame

    async def data_to_client(self, frame: bytes) -> bytes:
        """What is sent on in the place of a record or control message of the session."""
        return frame


def _flip_bit(frame: bytes, at: int) -> bytes:
    return frame[:at] + bytes((frame[at] ^ 1,)) + frame[at + 1 :]


# --- either path, once the session runs


class _AfterSome(Strategy):
    """Lets some of the file pass, and then does what it is there for."""

    SOME = 64 << 10

    def __init__(self, talk: AttackerChannel | None) -> None:
        super().__init__(talk)
        self._passed = 0

    async def data_to_client(self, frame: bytes) -> bytes:
        before, self._passed = self._passed, self._passed + len(frame)
        if self._passed <= self.SOME or len(frame) < RECORD:
            return frame
        return await self.act(frame, first=before <= self.SOME)

    async def act(self, frame: bytes, *, first: bool) -> bytes:
        raise NotImplementedError


class FlipByte(_AfterSome):
    """One byte changed in the middle of the transfer (MPTCPsec Figure 9)."""

    async def act(self, frame: bytes, *, first: bool) -> bytes:
        return _flip_bit(frame, len(frame) // 2) if first else frame


class FlipLength(_AfterSome):
    """A record's length made greater: its reader waits for what never comes."""

    async def act(self, frame: bytes, *, first: bool) -> bytes:
        return frame[:2] + bytes((frame[2] ^ 0x40,)) + frame[3:] if first else frame


class Swallow(_AfterSome):
    """Everything swallowed from some point on, the connection kept open: a black hole."""

    async def act(self, frame: bytes, *, first: bool) -> bytes:
        return b""


class LateControl(Strategy):
    """A control message, and all behind it, held back until newer ones have come on the other path."""

    DELAY = 1.5  # seconds: beyond the greatest patience of the session

    async def data_to_client(self, frame: bytes) -> bytes:
        if len(frame) < RECORD and not self.acted:
            await asyncio.sleep(self.DELAY)
            self.acted = True
        return frame


class Replay(_AfterSome):
    """Each record twice."""

    async def act(self, frame: bytes, *, first: bool) -> bytes:
        return frame + frame


# --- path 0


def rebuild_share(share: ClientShare, shares: KeyShares, aeads: tuple[Aead, ...] = tuple(Aead)) -> bytes:
    """The frame of a ClientShare with other shares or AEADs, and the name in clear: its seal would not open."""
    modes = tuple(map(Mode, share.modes))
    name = share.server_name if share.sealed_name is None else SERVICE_NAME
    return ClientShare.build(share.session_id, modes, aeads, share.commitment, shares, name).frame


class Shares(Strategy):
    """A share of the attacker's own towards either end: the classic man in the middle of Diffie-Hellman."""

    def __init__(self, talk: AttackerChannel | None) -> None:
        super().__init__(talk)
        self._keys = ClientKeys(AGREED, bytes(KEM_SEED_LENGTH), tuple(NamedGroup))
        self._offered: dict[int, bytes] = {}

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is not FrameType.CLIENT_SHARE:
            return frame
        share = ClientShare.parse(frame)
        self._offered, own = dict(share.shares), dict(self._keys.shares)
        return rebuild_share(share, tuple((group, own[group]) for group in self._offered))

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is not FrameType.SERVER_SHARE:
            return frame
        share = ServerShare.parse(frame)
        private = X25519PrivateKey.from_private_bytes(AGREED)
        own, _ = answer_share(share.group, self._offered[share.group], private)
        return frame.replace(share.share, own)


class Offers(Strategy):
    """The client's AEADs cut to the last one: a downgrade."""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is not FrameType.CLIENT_SHARE:
            return frame
        share = ClientShare.parse(frame)
        return rebuild_share(share, share.shares, (Aead.CHACHA20_POLY1305,))


class StripHybrid(Strategy):
    """The post-quantum hybrid taken out of the offer: a downgrade to what a recording may give away one day."""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is not FrameType.CLIENT_SHARE:
            return frame
        share = ClientShare.parse(frame)
        return rebuild_share(share, tuple(one for one in share.shares if one[0] == NamedGroup.X25519))


class StripSeal(Strategy):
    """The name in clear in the place of its seal, as if the client knew no key; that of the lab is no secret."""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is not FrameType.CLIENT_SHARE:
            return frame
        share = ClientShare.parse(frame)
        return rebuild_share(share, share.shares, tuple(map(Aead, share.aeads)))


class PasteSeal(Shares):
    """The client's sealed name in a ClientShare of the attacker's, to see by the edge what it opens to."""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        changed = await super().to_edge(kind, frame)
        if kind is not FrameType.CLIENT_SHARE:
            return changed
        genuine, own = ClientShare.parse(frame), ClientShare.parse(changed)
        modes, aeads = tuple(map(Mode, own.modes)), tuple(map(Aead, own.aeads))
        return ClientShare.build(
            own.session_id, modes, aeads, own.commitment, own.shares, "", genuine.options
        ).frame


class RefuseSeal(Strategy):
    """A refusal of the sealed name, with a key of the attacker's own to seal it with instead."""

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is not FrameType.SERVER_SHARE:
            return frame
        public = X25519PrivateKey.from_private_bytes(AGREED).public_key().public_bytes_raw()
        own = NameKey.issue(Ed25519PrivateKey.generate(), public, (1 << 64) - 1)
        return encode_abort(AbortCode.NAME_NOT_OPENED, own.encode())


class Modes(Strategy):
    """Opportunistic in the place of the mode that the client offers."""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is not FrameType.CLIENT_SHARE:
            return frame
        at = HEADER_LENGTH + 1 + SESSION_ID_LENGTH + 2 + 1  # behind the versions
        return frame[:at] + bytes((Mode.OPPORTUNISTIC,)) + frame[at + 1 :]


class SessionIds(Strategy):
    """Another session id towards the edge; serves on either path."""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.CLIENT_SHARE:
            return _flip_bit(frame, HEADER_LENGTH + 1)
        return _flip_bit(frame, HEADER_LENGTH) if kind is FrameType.CLIENT_NONCE else frame


class _RewriteShare(Strategy):
    """Rewrites ServerShare."""

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        return self.rewrite(ServerShare.parse(frame)) if kind is FrameType.SERVER_SHARE else frame

    def rewrite(self, share: ServerShare) -> bytes:
        raise NotImplementedError


class EdgeIds(_RewriteShare):
    """Another owner's id: the client would dial another edge's locator."""

    def rewrite(self, share: ServerShare) -> bytes:
        at = HEADER_LENGTH + 3
        other = 2 if share.edge_id != 2 else 3
        return share.frame[:at] + u16(other) + share.frame[at + 2 :]


class Locators(_RewriteShare):
    """Another kind of locator."""

    def rewrite(self, share: ServerShare) -> bytes:
        at = HEADER_LENGTH + 5
        return share.frame[:at] + bytes((3 - share.frame[at],)) + share.frame[at + 1 :]


class Observed(_RewriteShare):
    """Another address under which the edge would have seen the client, to hide that it was the attacker's."""

    def rewrite(self, share: ServerShare) -> bytes:
        other = Endpoint(IPv4Address("192.0.2.1"), share.observed.client.port)
        return share.frame.replace(share.observed.client.encode(), other.encode(), 1)


class CompleteAsClient(Shares):
    """A-P: shares of its own, and with what the accomplice reads on path 1, Finished in the client's name."""

    def __init__(self, talk: AttackerChannel | None) -> None:
        super().__init__(talk)
        self._sent = self._share = b""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.CLIENT_SHARE:
            self._sent = await super().to_edge(kind, frame)
            return self._sent
        if kind is not FrameType.ABORT or not self._share:
            return frame
        # the client has found out; towards the edge the attacker goes on as if nothing were
        assert self._talk is not None
        nonce, answer = (
            ClientNonce.parse(await self._talk.await_value("nonce")),
            ServerNonce.parse(await self._talk.await_value("answer")),
        )
        share = ServerShare.parse(self._share)
        th = transcript_hash(self._sent, self._share, nonce, answer.without_mac)
        keys = KeySchedule(share.mode, share.aead, [self._keys.agree(share.group, share.share)], th)
        assert keys.server_mac() == answer.mac  # it does hold the keys
        return Finished.build(0, keys.finished(0)).frame

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.SERVER_SHARE:
            self._share = frame
        return await super().to_client(kind, frame)


class TellShares(Strategy):
    """Passive on path 0, telling what it reads."""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.CLIENT_SHARE and self._talk:
            await self._talk.send_value("client share", frame)
        return frame

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.SERVER_SHARE and self._talk:
            await self._talk.send_value("server share", frame)
        return frame


# --- path 1


class TellNonces(Strategy):
    """Passive on path 1, telling what it reads."""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.CLIENT_NONCE and self._talk:
            await self._talk.send_value("nonce", frame)
        return frame

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.SERVER_NONCE and self._talk:
            await self._talk.send_value("answer", frame)
        return frame


class Nonces(Strategy):
    """Other nonces in both directions."""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        return (
            _flip_bit(frame, HEADER_LENGTH + SESSION_ID_LENGTH) if kind is FrameType.CLIENT_NONCE else frame
        )

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        return _flip_bit(frame, HEADER_LENGTH) if kind is FrameType.SERVER_NONCE else frame


class Bindings(Strategy):
    """Another binding."""

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        return _flip_bit(frame, len(frame) - 2 * DIGEST_LENGTH) if kind is FrameType.SERVER_NONCE else frame


class Macs(Strategy):
    """Another MAC."""

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        return _flip_bit(frame, len(frame) - 1) if kind is FrameType.SERVER_NONCE else frame


class IngressAndHash(Strategy):
    """P-A: another ingress, and the right hash over it, which the accomplice's shares make possible."""

    def __init__(self, talk: AttackerChannel | None) -> None:
        super().__init__(talk)
        self._nonce = b""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.CLIENT_NONCE:
            self._nonce = frame
        return frame

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is not FrameType.SERVER_NONCE:
            return frame
        assert self._talk is not None
        shares = (
            ClientShare.parse(await self._talk.await_value("client share")),
            ServerShare.parse(await self._talk.await_value("server share")),
        )
        return _rewrite_ingress(ServerNonce.parse(frame), ClientNonce.parse(self._nonce), *shares)


class AgreedHash(Strategy):
    """A/A: a binding over what was agreed beforehand, for the shares as they really are cannot be known here."""

    def __init__(self, talk: AttackerChannel | None) -> None:
        super().__init__(talk)
        self._nonce = b""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.CLIENT_NONCE:
            self._nonce = frame
        return frame

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is not FrameType.SERVER_NONCE:
            return frame
        answer, nonce = ServerNonce.parse(frame), ClientNonce.parse(self._nonce)
        keys = ClientKeys(AGREED, bytes(KEM_SEED_LENGTH), tuple(NamedGroup))
        guess = ClientShare.build(nonce.session_id, (), (), bytes(DIGEST_LENGTH), keys.shares, "")
        observed = Observation(1, answer.observed.client)
        group, offered = NamedGroup.X25519MLKEM768, dict(keys.shares)[NamedGroup.X25519MLKEM768]
        own, _ = answer_share(group, offered, X25519PrivateKey.from_private_bytes(AGREED))
        theirs = ServerShare.build(
            Mode.OPPORTUNISTIC, Aead.AES_128_GCM, 1, LocatorKind.PORT, observed, group, own
        )
        return _rewrite_ingress(answer, nonce, guess, theirs)


def _rewrite_ingress(
    answer: ServerNonce, nonce: ClientNonce, client: ClientShare, server: ServerShare
) -> bytes:
    """ServerNonce with another ingress, and the hash that goes with it and these shares; the MAC stays as it was."""
    other = 3 if answer.observed.ingress_id != 3 else 2
    unbound = ServerNonce.encode_unbound(answer.nonce, Observation(other, answer.observed.client))
    draft = ServerNonce.parse(ServerNonce.encode_without_mac(unbound, bytes(DIGEST_LENGTH)) + answer.mac)
    bound = compute_binding(server.mode, nonce, answer.nonce, client.frame, server.frame, draft.rest)
    return ServerNonce.encode_without_mac(unbound, bound) + answer.mac


def invent_nonce(client_share: bytes) -> bytes:
    """A ClientNonce for the session of a ClientShare, with a nonce of the attacker's, to come before the client's."""
    return ClientNonce.build(ClientShare.parse(client_share).session_id, os.urandom(NONCE_LENGTH)).frame


STRATEGIES: dict[str, type[Strategy]] = {
    "pass": Strategy,
    "shares": Shares,
    "offers": Offers,
    "flip-byte": FlipByte,
    "flip-length": FlipLength,
    "swallow": Swallow,
    "replay": Replay,
    "late-control": LateControl,
    "strip-hybrid": StripHybrid,
    "strip-seal": StripSeal,
    "paste-seal": PasteSeal,
    "refuse-seal": RefuseSeal,
    "modes": Modes,
    "session-ids": SessionIds,
    "edge-ids": EdgeIds,
    "locators": Locators,
    "observed": Observed,
    "complete-as-client": CompleteAsClient,
    "tell-shares": TellShares,
    "tell-nonces": TellNonces,
    "nonces": Nonces,
    "bindings": Bindings,
    "macs": Macs,
    "ingress-and-hash": IngressAndHash,
    "agreed-hash": AgreedHash,
}
