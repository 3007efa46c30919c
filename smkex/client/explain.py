"""Errors for people: name, text and hint."""

from dataclasses import dataclass

from smkex.core import errors

_HINTS: dict[type[Exception], str] = {
    errors.OnePathOnly: "give two interfaces: --path cell0 --path wifi0 (`ip route` shows which have a route); where"
    " there is one network, `sennit path add` makes the second path through a relay",
    errors.SharedPath: "one attacker could sit on both; use two different networks, or --allow-shared-path",
    errors.AddressDisagrees: "one resolver may be forged: compare, or give the address itself",
    errors.FleetKeyChanged: "an attack, unless the operator says that the fleet has a new key: compare the"
    " fingerprint, then `sennit known-hosts accept HOST SHA256:...`",
    errors.CertificateRefused: "the edge's certificate has expired or is forged",
    errors.TlsFailed: "TLS failed on path 0: check --ca; if it is right, path 0 is under attack",
    errors.HostIsKnown: "omit --mode, or `sennit known-hosts remove HOST`",
    errors.NoCommonMode: "the edge does not offer this mode",
    errors.NoCommonGroup: "give --kex with a group that both ends have; an edge states its own with --kex",
    errors.CommitmentMismatch: "an attacker changes messages on one of the paths; use other networks",
    errors.BindingMismatch: "an attacker changes messages on one of the paths; use other networks",
    errors.MacMismatch: "an attacker changes messages on one of the paths; use other networks",
    errors.FellBackToTcp: "a middlebox removes MPTCP options, or the edge does not support them; use --transport tcp",
    errors.DeadlineMissed: "a path loses packets or the edge is overloaded; --timeout allows more time",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """`name` is the error's class; `hint` may be empty."""

    name: str
    text: str
    hint: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


def explain_error(error: BaseException) -> Explanation:
    """Explain an error of `connect`, or one of HTTP that such an error caused."""
    cause = smkex_cause(error) or error
    text = str(cause)
    if isinstance(cause, OSError) and cause.strerror:
        text = cause.strerror
    return Explanation(type(cause).__name__, text or "no reason given", find_hint(cause))


def smkex_cause(error: BaseException) -> errors.SmkexError | None:
    """The error of the protocol that is, or led to, `error`."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, errors.SmkexError):
        found = found.__cause__
    return found


def find_hint(error: BaseException) -> str:
    """Return what to do about `error`; empty if there is no advice."""
    if isinstance(error, errors.PeerAborted) and error.peer_code == errors.AbortCode.NAME_NOT_OPENED:
        return (
            "path 0 may be under attack, or the fleet has lost its name key, or DNS states an old one (`sennit doctor"
            " HOST` shows it): ask its operator, then `sennit known-hosts remove HOST`"
        )
    for kind, text in _HINTS.items():
        if isinstance(error, kind):
            return text
    return str(getattr(error, "hint", ""))
