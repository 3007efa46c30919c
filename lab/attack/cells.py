"""The table of docs/protocol/security.md (SMKEX Tables 2 and 3), cell by cell: each attack and its expected outcome."""

from dataclasses import dataclass, replace
from enum import StrEnum

from lab.topology import SERVICE_NAME


class AttackOutcome(StrEnum):
    """What came of an attack, as the user sees it."""

    SAFE = "safe"  # the right file, and nothing of it in what was recorded
    DETECTED = "detected"  # no file, and an error that names the attack
    NOT_DETECTED = "not detected"  # a forged file, taken for the right one


class Row(StrEnum):
    """Rows: how the client authenticates, besides the two paths."""

    OPPORTUNISTIC = "opportunistic"
    FIRST_CONTACT = "tofu, first contact"
    KEY_KNOWN = "tofu, key known"
    AUTHENTIC = "mtls, authentic certificate"  # no authority that the client trusts serves the attacker
    FORGED = "mtls, forged certificate"  # one does


class Powers(StrEnum):
    """Columns. A is active, P passive; "-" joins two that can talk, "/" two that cannot."""

    PASSIVE = "P on all"
    ONE = "A on one"
    A_P = "A-P"
    P_A = "P-A"
    APART = "A/A"
    TOGETHER = "A-A"


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: a strategy on either path (None: no attacker), whether they talk, and the outcome that must be.

    `errors` are what the client may call it; empty where nothing is detected.
    """

    name: str
    powers: Powers
    first: str | None
    second: str | None
    expected: AttackOutcome
    errors: tuple[str, ...] = ()
    talk: bool = False
    names_forged: tuple[int, ...] = ()
    genuine_certificate: bool = False  # the false edge shows it; it has not the key
    on_records: bool = False  # of the running session, which then uses both paths
    # `first` is a packet spoofed on path 0, where nothing is stopped: safe where it comes behind the edge's own
    on_the_side: bool = False
    host: str = SERVICE_NAME  # as the user writes it


_RESET = Attack(
    "a reset spoofed from the side",
    Powers.ONE,
    "reset",
    None,
    AttackOutcome.DETECTED,
    ("Truncated",),
    on_the_side=True,
)
_ALWAYS = (
    Attack("record everything", Powers.PASSIVE, "pass", "pass", AttackOutcome.SAFE),
    Attack(
        "own shares to both ends", Powers.ONE, "shares", None, AttackOutcome.DETECTED, ("BindingMismatch",)
    ),
    Attack(
        "the hybrid stripped from the offer",
        Powers.ONE,
        "strip-hybrid",
        None,
        AttackOutcome.DETECTED,
        ("BindingMismatch",),
    ),
    Attack("four nonces by who reads path 0", Powers.ONE, "observe", None, AttackOutcome.SAFE),
    Attack("offers cut down", Powers.ONE, "offers", None, AttackOutcome.DETECTED, ("BindingMismatch",)),
    Attack(
        "another session id on path 0",
        Powers.ONE,
        "session-ids",
        None,
        AttackOutcome.DETECTED,
        ("DeadlineMissed",),
    ),
    Attack("another edge id", Powers.ONE, "edge-ids", None, AttackOutcome.DETECTED, ("DeadlineMissed",)),
    Attack(
        "another kind of locator",
        Powers.ONE,
        "locators",
        None,
        AttackOutcome.DETECTED,
        ("UnexpectedMessage",),
    ),
    Attack(
        "another observed address", Powers.ONE, "observed", None, AttackOutcome.DETECTED, ("BindingMismatch",)
    ),
    Attack("other nonces", Powers.ONE, None, "nonces", AttackOutcome.DETECTED, ("PeerAborted",)),
    Attack("another binding", Powers.ONE, None, "bindings", AttackOutcome.DETECTED, ("BindingMismatch",)),
    Attack("another MAC", Powers.ONE, None, "macs", AttackOutcome.DETECTED, ("MacMismatch",)),
    Attack(
        "another session id on path 1",
        Powers.ONE,
        None,
        "session-ids",
        AttackOutcome.DETECTED,
        ("DeadlineMissed",),
    ),
    Attack("three nonces before the client's", Powers.ONE, None, "race", AttackOutcome.SAFE),
    Attack(
        "a share spoofed from the side",
        Powers.ONE,
        "share",
        None,
        AttackOutcome.DETECTED,
        # the second where the edge's own share is longer: its rest is read behind the forged one
        ("BindingMismatch", "MalformedMessage", "UnexpectedMessage"),
        on_the_side=True,
    ),
    _RESET,
    Attack("a byte flipped in the file", Powers.ONE, "flip-byte", None, AttackOutcome.SAFE, on_records=True),
    Attack("a record's length flipped", Powers.ONE, "flip-length", None, AttackOutcome.SAFE, on_records=True),
    Attack("the file swallowed half way", Powers.ONE, "swallow", None, AttackOutcome.SAFE, on_records=True),
    Attack("every record twice", Powers.ONE, "replay", None, AttackOutcome.SAFE, on_records=True),
    Attack("a late control message", Powers.ONE, "late-control", None, AttackOutcome.SAFE, on_records=True),
    Attack(
        "a forged name on path 0",
        Powers.ONE,
        None,
        None,
        AttackOutcome.DETECTED,
        ("AddressDisagrees",),
        False,
        (0,),
    ),
    Attack(
        "complete as the client",
        Powers.A_P,
        "complete-as-client",
        "tell-nonces",
        AttackOutcome.DETECTED,
        ("BindingMismatch",),
        True,
    ),
    Attack(
        "another ingress, and its hash",
        Powers.P_A,
        "tell-shares",
        "ingress-and-hash",
        AttackOutcome.DETECTED,
        ("MacMismatch",),
        True,
    ),
    Attack(
        "keys agreed beforehand",
        Powers.APART,
        "shares",
        "agreed-hash",
        AttackOutcome.DETECTED,
        ("BindingMismatch",),
    ),
    Attack(
        "be the edge", Powers.TOGETHER, "impersonate", "impersonate", AttackOutcome.NOT_DETECTED, (), True
    ),
    Attack(
        "be the edge of a host spelled otherwise",
        Powers.TOGETHER,
        "impersonate",
        "impersonate",
        AttackOutcome.NOT_DETECTED,
        (),
        True,
        host=f"{SERVICE_NAME.upper()}.",
    ),
    Attack(
        "forged names on both paths",
        Powers.TOGETHER,
        "impersonate",
        "impersonate",
        AttackOutcome.NOT_DETECTED,
        (),
        True,
        (0, 1),
    ),
)
_DOWNGRADE = Attack("modes cut down", Powers.ONE, "modes", None, AttackOutcome.DETECTED, ("NoCommonMode",))
_REPLAY = Attack(
    "be the edge with its certificate",
    Powers.TOGETHER,
    "impersonate",
    "impersonate",
    AttackOutcome.DETECTED,
    ("MacMismatch",),
    talk=True,
    genuine_certificate=True,
)
_SEALED_NAME = (
    Attack(
        "the name in clear in place of its seal",
        Powers.ONE,
        "strip-seal",
        None,
        AttackOutcome.DETECTED,
        ("BindingMismatch",),
    ),
    Attack(
        "the sealed name pasted into another share",
        Powers.ONE,
        "paste-seal",
        None,
        AttackOutcome.DETECTED,
        ("PeerAborted",),
    ),
    Attack(
        "the sealed name refused, with a key of its own",
        Powers.ONE,
        "refuse-seal",
        None,
        AttackOutcome.DETECTED,
        ("PeerAborted",),
    ),
)


_FORGED_CERTIFICATE = Attack(
    "TLS with a certificate of its own", Powers.ONE, "tls-mitm", None, AttackOutcome.DETECTED
)
_CUT_RECORDS = Attack("TLS records cut into pieces", Powers.ONE, "cut-records", None, AttackOutcome.SAFE)
_TLS_A_P = Attack(
    "the same, and a look at path 1", Powers.A_P, "tls-mitm", "pass", AttackOutcome.DETECTED, talk=True
)
_TLS_P_A = Attack(
    "another binding, and a look at path 0",
    Powers.P_A,
    "pass",
    "bindings",
    AttackOutcome.DETECTED,
    ("BindingMismatch",),
    talk=True,
)
_TLS_APART = Attack(
    "the same, and a hash agreed beforehand", Powers.APART, "tls-mitm", "agreed-hash", AttackOutcome.DETECTED
)


def attacks_on(row: Row) -> tuple[Attack, ...]:
    """Every attack on a row, with what must come of it there."""
    return _of_mtls(row) if row in (Row.AUTHENTIC, Row.FORGED) else _of_frames(row)


def _of_mtls(row: Row) -> tuple[Attack, ...]:
    """Path 1 is attacked as in the other modes; on path 0 there is TLS.

    Where TLS believes the attacker, the edge knows the session by the attacker's hello: the client's nonce finds none.
    """
    stopped = "TlsFailed" if row is Row.AUTHENTIC else "DeadlineMissed"
    found_out = [replace(one, errors=(stopped,)) for one in (_FORGED_CERTIFICATE, _TLS_A_P, _TLS_APART)]
    path_1 = [one for one in _ALWAYS if one.powers is Powers.ONE and one.first is None]  # and names
    together = [
        replace(one, expected=AttackOutcome.DETECTED, errors=("TlsFailed",)) if row is Row.AUTHENTIC else one
        for one in _ALWAYS
        if one.powers is Powers.TOGETHER
    ]
    passive = [one for one in _ALWAYS if one.powers is Powers.PASSIVE]
    return (
        *passive,
        found_out[0],
        _CUT_RECORDS,
        _RESET,
        *path_1,
        found_out[1],
        _TLS_P_A,
        found_out[2],
        *together,
    )


def _of_frames(row: Row) -> tuple[Attack, ...]:
    if row is Row.OPPORTUNISTIC:
        return _ALWAYS
    # the certificate names its edge: another id is found out before a nonce is sent
    tofu = [
        replace(one, errors=("CertificateRefused",)) if one.first == "edge-ids" else one for one in _ALWAYS
    ]
    if row is Row.FIRST_CONTACT:
        return (*tofu, _DOWNGRADE)
    known = [
        replace(one, expected=AttackOutcome.DETECTED, errors=("FleetKeyChanged",))
        if one.expected is AttackOutcome.NOT_DETECTED
        else one
        for one in tofu
    ]
    # in a ClientShare that was changed the edge cannot open the name, and says so
    known = [
        replace(one, errors=("PeerAborted",)) if one.first in ("session-ids", "modes") else one
        for one in (*known, _DOWNGRADE)
    ]
    return (*known, _REPLAY, *_SEALED_NAME)
