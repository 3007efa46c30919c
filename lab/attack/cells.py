"""The table of design and papers (SMKEX Tables 2 and 3), cell by cell: who attacks how, and what must come of it."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What came of an attack, as the user sees it."""

    SAFE = "safe"  # the right file, and nothing of it in what was recorded
    DETECTED = "detected"  # no file, and an error that names the attack
    NOT_DETECTED = "not detected"  # a forged file, taken for the right one


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
    """One attack: a strategy on either path (None: nobody there), whether they talk, and the outcome that must be.

    `errors` are what the client may call it; empty where nothing is detected.
    """

    name: str
    powers: Powers
    first: str | None
    second: str | None
    expected: Outcome
    errors: tuple[str, ...] = ()
    talk: bool = False
    names_forged: tuple[int, ...] = ()


ATTACKS = (
    Attack("record everything", Powers.PASSIVE, "pass", "pass", Outcome.SAFE),
    Attack("own shares to both ends", Powers.ONE, "shares", None, Outcome.DETECTED, ("BindingMismatch",)),
    Attack("offers cut down", Powers.ONE, "offers", None, Outcome.DETECTED, ("BindingMismatch",)),
    Attack(
        "another session id on path 0", Powers.ONE, "session-ids", None, Outcome.DETECTED, ("DeadlineMissed",)
    ),
    Attack("another edge id", Powers.ONE, "edge-ids", None, Outcome.DETECTED, ("DeadlineMissed",)),
    Attack("another kind of locator", Powers.ONE, "locators", None, Outcome.DETECTED, ("UnexpectedMessage",)),
    Attack("another observed address", Powers.ONE, "observed", None, Outcome.DETECTED, ("BindingMismatch",)),
    Attack("other nonces", Powers.ONE, None, "nonces", Outcome.DETECTED, ("BindingMismatch",)),
    Attack("another binding", Powers.ONE, None, "bindings", Outcome.DETECTED, ("BindingMismatch",)),
    Attack("another MAC", Powers.ONE, None, "macs", Outcome.DETECTED, ("MacMismatch",)),
    Attack(
        "another session id on path 1", Powers.ONE, None, "session-ids", Outcome.DETECTED, ("DeadlineMissed",)
    ),
    Attack("three nonces before the client's", Powers.ONE, None, "race", Outcome.SAFE),
    Attack(
        "a forged name on path 0",
        Powers.ONE,
        None,
        None,
        Outcome.DETECTED,
        ("AddressDisagrees",),
        False,
        (0,),
    ),
    Attack(
        "complete as the client",
        Powers.A_P,
        "complete-as-client",
        "tell-nonces",
        Outcome.DETECTED,
        ("BindingMismatch",),
        True,
    ),
    Attack(
        "another ingress, and its hash",
        Powers.P_A,
        "tell-shares",
        "ingress-and-hash",
        Outcome.DETECTED,
        ("MacMismatch",),
        True,
    ),
    Attack(
        "keys agreed beforehand",
        Powers.APART,
        "shares",
        "agreed-hash",
        Outcome.DETECTED,
        ("BindingMismatch",),
    ),
    Attack("be the edge", Powers.TOGETHER, "impersonate", "impersonate", Outcome.NOT_DETECTED, (), True),
    Attack(
        "forged names on both paths",
        Powers.TOGETHER,
        "impersonate",
        "impersonate",
        Outcome.NOT_DETECTED,
        (),
        True,
        (0, 1),
    ),
)
