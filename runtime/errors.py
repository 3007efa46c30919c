"""What a command may end with: its exit status and the error a person can act on."""

import sys
from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of every `sennit` command."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    REFUSED = 3  # the protocol refused to go on: an attack, or a path that is not what it should be
    UNREACHABLE = 4
    HTTP = 5  # the server answered with a status of 400 or more
    BROKEN_OFF = 6  # the transfer began, and did not come to its end
    INTERRUPTED = 130


class CommandError(Exception):
    """A failure told to a person: what went wrong, and in `hint` what to do about it."""

    def __init__(self, message: str, *, hint: str = "", status: ExitStatus = ExitStatus.FAILURE) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status

    def tell(self) -> None:
        """Print it to standard error."""
        print(f"error: {self}", file=sys.stderr)
        if self.hint:
            print(f"hint:  {self.hint}", file=sys.stderr)
