"""Exit statuses of the commands, and the error that a command reports to its user."""

import sys
from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of every `sennit` command."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    REFUSED = 3  # the protocol refused to continue: an attack, or a path that is not as required
    UNREACHABLE = 4
    HTTP = 5  # the server answered with a status of 400 or more
    BROKEN_OFF = 6  # the transfer began and was truncated
    NOT_EXECUTABLE = 126  # `sennit run`, as shells: the program is there and cannot be executed
    NOT_FOUND = 127  # `sennit run`, as shells: there is no such program
    INTERRUPTED = 130


class CommandError(Exception):
    """A failure reported to the user: what went wrong, and in `hint` what to do about it."""

    def __init__(self, message: str, *, hint: str = "", status: ExitStatus = ExitStatus.FAILURE) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status

    def print_error(self) -> None:
        """Print it to standard error."""
        print(f"error: {self}", file=sys.stderr)
        if self.hint:
            print(f"hint:  {self.hint}", file=sys.stderr)
