"""Start the program in its control group, as the user that it belongs to."""

import os
import pwd
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from capture.cgroup import ControlGroup


class ProgramNotExecuted(Exception):
    """The program cannot be executed; `found` is False where there is no such program."""

    def __init__(self, program: str, error: OSError, folders: Sequence[str]) -> None:
        """`folders` are those of PATH, where one may be that the user cannot enter."""
        absent = isinstance(error, (FileNotFoundError, NotADirectoryError))
        in_path = any(os.path.isfile(os.path.join(folder, program)) for folder in folders)
        self.found = not absent and ("/" in program or in_path)
        if self.found:
            super().__init__(f"cannot execute {program}: {error.strerror}")
        else:
            super().__init__(f"no such program: {program!r}")


@dataclass(frozen=True, slots=True)
class ProgramUser:
    """The user, and the groups, that the program runs as."""

    uid: int
    gid: int
    name: str
    home: str

    @classmethod
    def find(cls, name: str | None) -> "ProgramUser | None":
        """Return the named user, by default the one that called sudo; None: this process's. Raises KeyError."""
        if name is not None:
            entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        elif "SUDO_UID" in os.environ and os.geteuid() == 0:
            entry = pwd.getpwuid(int(os.environ["SUDO_UID"]))
        else:
            return None
        return cls(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir)

    def environment(self) -> dict[str, str]:
        """Return this process's environment with the user's names in it."""
        return {**os.environ, "HOME": self.home, "USER": self.name, "LOGNAME": self.name}


def start_program(
    command: Sequence[str], group: ControlGroup, user: ProgramUser | None, restore_signals: Callable[[], None]
) -> "subprocess.Popen[bytes]":
    """Start it; it is in the group before it is executed. Raises `ProgramNotExecuted`."""

    def enter_group() -> None:
        os.write(group.join_descriptor, b"0\n")
        if user is not None:
            os.initgroups(user.name, user.gid)
            os.setgid(user.gid)
            os.setuid(user.uid)
        restore_signals()

    return execute_program(command, enter_group, user.environment() if user is not None else None)


def execute_program(
    command: Sequence[str], prepare: Callable[[], None], environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a program after `prepare`, which runs in its process. Raises `ProgramNotExecuted`."""
    # no thread runs yet, so that the function may run between fork and exec; descriptors that this process has
    # inherited are the program's, its own are closed by exec
    try:
        return subprocess.Popen(command, preexec_fn=prepare, close_fds=False, env=environment)
    except OSError as error:
        raise ProgramNotExecuted(command[0], error, os.get_exec_path(environment)) from None


def exit_status(returncode: int) -> int:
    """Return the exit status of a shell for a program: 128 and the signal's number where one ended it."""
    return 128 - returncode if returncode < 0 else returncode
