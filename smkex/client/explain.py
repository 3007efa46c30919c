"""Errors told to a person: the name, what happened, and what to do about it."""

from dataclasses import dataclass

from smkex.core import errors

_HINTS: dict[type[Exception], str] = {
    errors.OnePathOnly: "give two interfaces: --path cell0 --path wifi0 (`ip route` shows which have a way)",
    errors.SharedPath: "one attacker could sit on both; use two different networks, or --allow-shared-path",
    errors.AddressDisagrees: "one resolver may be forged: compare, or give the address itself",
    errors.FleetKeyChanged: "an attack, unless the operator says that the fleet has a new key: compare the"
    " fingerprint, then `sennit known-hosts accept HOST SHA256:...`",
    errors.CertificateRefused: "the edge's certificate has run out, or somebody made one up",
    errors.TlsFailed: "path 0's TLS did not end well: the certificate's authority (--ca), or somebody in the way",
    errors.HostIsKnown: "leave --mode away, or `sennit known-hosts remove HOST`",
    errors.NoCommonMode: "the edge does not offer this mode",
    errors.BindingMismatch: "somebody changes messages on one of the paths; try other networks",
    errors.MacMismatch: "somebody changes messages on one of the paths; try other networks",
    errors.FellBackToTcp: "a middlebox removes MPTCP, or the edge has none; --transport tcp works without",
    errors.DeadlineMissed: "a path loses packets or the edge is overloaded; --timeout gives more time",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """`name` is the error's class; `hint` may be empty."""

    name: str
    text: str
    hint: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


def explain(error: BaseException) -> Explanation:
    """Explain an error of `connect`, or one of HTTP that such an error caused."""
    cause = smkex_cause(error) or error
    text = str(cause)
    if isinstance(cause, OSError) and cause.strerror:
        text = cause.strerror
    return Explanation(type(cause).__name__, text or "no reason given", hint(cause))


def smkex_cause(error: BaseException) -> errors.SmkexError | None:
    """The error of the protocol that is, or led to, `error`."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, errors.SmkexError):
        found = found.__cause__
    return found


def hint(error: BaseException) -> str:
    """What to do about `error`; empty where nobody knows."""
    for kind, text in _HINTS.items():
        if isinstance(error, kind):
            return text
    return str(getattr(error, "hint", ""))
