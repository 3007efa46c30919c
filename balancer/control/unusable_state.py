"""What an operator can mend in a state folder or database, in one line and a hint in place of a traceback."""

from sqlalchemy.exc import DatabaseError

from balancer.control.storage.database import UnknownSchema
from balancer.control.storage.store import StateInUse
from balancer.control.table.signing_key import NoSigningKey


class StateUnusable(Exception):
    """The state folder or the database cannot be used; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def explain_failure(error: BaseException) -> StateUnusable | None:
    """Return what is wrong with the state; None for a fault of the program, which needs its traceback."""
    match error:
        case NoSigningKey():
            return StateUnusable(str(error), error.hint)
        case DatabaseError():
            return StateUnusable(f"database: {error.orig}")
        case StateInUse() | UnknownSchema() | OSError():
            return StateUnusable(str(error))
    return None
