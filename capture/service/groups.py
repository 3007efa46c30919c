"""The control groups of the service: captured ones, excluded ones, and one for each program of a user."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from capture.cgroup import ControlGroup, open_group

USER_PREFIX = "sennit-captured-user-"  # and the user's id, and a number
SERVING_PREFIX = "sennit-capture-serving-"  # and the keeper's process id


def group_exists(root: int, path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(f"./{path.strip('/')}", dir_fd=root).st_mode)
    except FileNotFoundError:
        return False


def group_id(root: int, path: str) -> int | None:
    """Return the kernel's number of a group; None where there is none."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(f"./{path.strip('/')}", dir_fd=root).st_ino
    return None


def make_path(root: int, path: str) -> list[str]:
    """Make a group and those above it; return the ones that were missing, the lowest first. Raises OSError."""
    made: list[str] = []
    words = path.strip("/").split("/")
    for end in range(1, len(words) + 1):
        whole = "/".join(words[:end])
        if whole and not group_exists(root, whole):
            os.mkdir(f"./{whole}", 0o755, dir_fd=root)
            made.insert(0, whole)
    return made


def all_groups(root: int) -> Iterator[tuple[str, int]]:
    """Yield the path and descriptor of every group; the descriptor is open until the next is asked for."""
    yield "/", root
    for folder, names, _, descriptor in os.fwalk(".", dir_fd=root):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                group = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor)
                try:
                    yield f"{folder}/{name}"[1:], group
                finally:
                    os.close(group)


def owner_of(path: str) -> int | None:
    """Return the user id in the name of a user's group; None for another's."""
    name = path.rpartition("/")[2]
    uid = name.removeprefix(USER_PREFIX).partition("-")[0]
    return int(uid) if name.startswith(USER_PREFIX) and uid.isdecimal() else None


def is_stale_serving(path: str) -> bool:
    """Return whether a group is that of a service whose keeper has ended."""
    name = path.rpartition("/")[2]
    number = name.removeprefix(SERVING_PREFIX)
    return name.startswith(SERVING_PREFIX) and number.isdecimal() and not Path("/proc", number).exists()


def open_at(root: int, path: str) -> ControlGroup:
    """Open a group that exists. Raises OSError."""
    parent, _, name = path.strip("/").rpartition("/")
    return ControlGroup(open_group(root, parent), name)


def make_at(root: int, parent: str, name: str) -> ControlGroup:
    """Make a group. Raises OSError."""
    return ControlGroup.make_below(open_group(root, parent), name)
