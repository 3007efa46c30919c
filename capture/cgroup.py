"""A control group of its own for captured processes, below the caller's (cgroups(7), version 2)."""

import contextlib
import ctypes
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

MOUNT_INFO = Path("/proc/self/mountinfo")
OWN_GROUP = Path("/proc/self/cgroup")
PREFIX = "sennit-run-"
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # the same on every architecture
_CREATE = 6  # FSCONFIG_CMD_CREATE
_libc = ctypes.CDLL(None, use_errno=True)


class ControlGroupUnavailable(Exception):
    """No control group can be made here; the text says why."""


class ControlGroup:
    """One group, by a descriptor of its directory; it exists until `remove`."""

    def __init__(self, parent: int, name: str) -> None:
        """Open a group below `parent`, whose descriptor it takes. Raises OSError."""
        self._parent, self.name = parent, name
        self.descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=parent)
        self.join_descriptor = self._open_file("cgroup.procs", os.O_WRONLY)
        self.events_descriptor = self._open_file("cgroup.events", os.O_RDONLY)

    @classmethod
    def make_below(cls, parent: int, name: str) -> "ControlGroup":
        """Make a group; the descriptor of its parent is closed with it, or on failure. Raises OSError."""
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
            try:
                return cls(parent, name)
            except BaseException:
                os.rmdir(name, dir_fd=parent)
                raise
        except BaseException:
            os.close(parent)
            raise

    @classmethod
    def create(cls) -> "ControlGroup":
        """Create a group for this process's programs. Raises `ControlGroupUnavailable`."""
        try:
            root = open_hierarchy()
            try:
                parent = open_group(root, group_path())
            finally:
                os.close(root)
            remove_stale_groups(parent)
            return cls.make_below(parent, f"{PREFIX}{os.getpid()}")
        except OSError as error:
            raise ControlGroupUnavailable(f"cannot make a control group: {error.strerror or error}") from None

    @property
    def id(self) -> int:
        """The kernel's number of the group, as programs in the kernel see it."""
        return os.fstat(self.descriptor).st_ino

    def is_populated(self) -> bool:
        """Return whether a process is in the group; none is in one that others, such as systemd, have removed."""
        with _removed_is_empty():
            return b"populated 1" in os.pread(self.events_descriptor, 4096, 0)
        return False

    def processes(self) -> list[int]:
        """Return the process ids in the group."""
        with _removed_is_empty(), os.fdopen(self._open_file("cgroup.procs", os.O_RDONLY)) as file:
            return [int(line) for line in file]
        return []

    def kill_processes(self) -> None:
        """Send SIGKILL to every process in the group and below it."""
        with _removed_is_empty(), os.fdopen(self._open_file("cgroup.kill", os.O_WRONLY), "wb", 0) as file:
            file.write(b"1")

    def remove(self) -> None:
        """Remove the group, and with it what is attached to it. Raises OSError while a process is in it."""
        for descriptor in (self.descriptor, self.join_descriptor, self.events_descriptor):
            os.close(descriptor)
        with _removed_is_empty():
            os.rmdir(self.name, dir_fd=self._parent)
        os.close(self._parent)

    def _open_file(self, name: str, flags: int) -> int:
        return os.open(name, flags, dir_fd=self.descriptor)


@contextlib.contextmanager
def _removed_is_empty() -> Iterator[None]:
    """Pass over the errors of a group that does not exist any more."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise


def remove_stale_groups(parent: int) -> None:
    """Remove the empty groups of processes that were killed, as far as this user may."""
    for name in os.listdir(parent):
        number = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and number.isdecimal() and not Path("/proc", number).exists():
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=parent)


def group_path(process: int | None = None) -> str:
    """Return the path of a process's group, by default this one's, below the root of the hierarchy. Raises OSError."""
    file = OWN_GROUP if process is None else Path("/proc", str(process), "cgroup")
    for line in file.read_text().splitlines():
        hierarchy, _, path = line.split(":", 2)
        if hierarchy == "0" and not path.startswith("/.."):
            return path
    return "/"


def open_group(root: int, path: str) -> int:
    """Open the directory of a group. Raises OSError."""
    return os.open(f"./{path.strip('/')}", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)


def open_hierarchy() -> int:
    """Open the root of version 2: where it is mounted, else a mount of this process alone."""
    for line in MOUNT_INFO.read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup2 ") and fields.split()[3] == "/":
            place = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields.split()[4])
            return os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    return _mount_privately()


def _mount_privately() -> int:
    context = _call(_FSOPEN, b"cgroup2", 1)
    try:
        _call(_FSCONFIG, context, _CREATE, None, None, 0)
        return _call(_FSMOUNT, context, 1, 0)
    finally:
        os.close(context)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
