"""Describe handshake messages for --verbose, one line each."""

from dataclasses import dataclass

from smkex.core.errors import SmkexError
from smkex.core.wire.frame import FrameType
from smkex.core.wire.messages import (
    ClientNonce,
    ClientShare,
    Mode,
    Observation,
    Ready,
    ServerNonce,
    ServerShare,
    parse_abort,
)
from smkex.core.wire.named_group import NamedGroup


@dataclass(frozen=True, slots=True)
class FrameDescription:
    """A message that goes (`->`) or comes (`<-`) on a path; formatted only when logged."""

    path: int
    arrow: str
    frame: bytes

    def __str__(self) -> str:
        try:
            name, said = _describe_message(FrameType(self.frame[0]), self.frame)
        except (SmkexError, ValueError):
            name, said = "?", "malformed"
        return f"path {self.path} {self.arrow} {name:<12} {len(self.frame):>4} bytes  {said}".rstrip()


def _describe_message(kind: FrameType, frame: bytes) -> tuple[str, str]:
    match kind:
        case FrameType.CLIENT_SHARE:
            share = ClientShare.parse(frame)
            modes = ", ".join(Mode(mode).name.lower() for mode in share.modes)
            groups = ", ".join(NamedGroup(group).name.lower() for group, _ in share.shares)
            name = _name_privacy(share)
            return (
                "ClientShare",
                f"session {share.session_id.hex()[:8]}..., offers {modes}; {groups}; name {name}; g^x",
            )
        case FrameType.SERVER_SHARE:
            answer = ServerShare.parse(frame)
            chosen = ", ".join(
                (
                    answer.mode.name.lower(),
                    answer.group.name.lower(),
                    answer.aead.name.lower().replace("_", "-"),
                )
            )
            return (
                "ServerShare",
                f"owner edge {answer.edge_id}, {chosen}; {_describe_observation(answer.observed)}; g^y",
            )
        case FrameType.CLIENT_NONCE:
            return "ClientNonce", f"session {ClientNonce.parse(frame).session_id.hex()[:8]}...; N_C"
        case FrameType.SERVER_NONCE:
            return (
                "ServerNonce",
                f"{_describe_observation(ServerNonce.parse(frame).observed)}; N_S, binding, MAC",
            )
        case FrameType.FINISHED:
            return "Finished", "binding and MAC verified"
        case FrameType.READY:
            return "Ready", f"path {Ready.parse(frame).path} carries the session"
        case FrameType.ABORT:
            return "Abort", f"code {parse_abort(frame).peer_code}"
        case _:
            return kind.name.title(), ""


def _name_privacy(share: ClientShare) -> str:
    if share.sealed_name is not None:
        return "sealed"
    return "clear" if share.server_name else "none"


def _describe_observation(observed: Observation) -> str:
    return f"sees {observed.client}, enters at edge {observed.ingress_id}"
