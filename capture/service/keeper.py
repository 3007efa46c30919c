"""The keeper: attaches programs to control groups, moves users' processes into groups, removes everything at the end.

It has the capabilities, and reads nothing that others send but the descriptor of a user's connection. When it or its
child ends otherwise than by `stop`, what is attached stays: captured addresses are refused, until the next keeper has
taken over.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

from capture.cgroup import ControlGroup, group_path, open_group
from capture.load.programs import CaptureUnavailable
from capture.programs import CapturePrograms, load_programs
from capture.service.groups import (
    SERVING_PREFIX,
    USER_PREFIX,
    all_groups,
    group_id,
    is_stale_serving,
    make_at,
    make_path,
    open_at,
    owner_of,
)
from capture.service.peer import JoinRefused, PeerProcess
from capture.service.pins import pin_capture, read_pinned, remove_folder
from capture.service.settings import CaptureSettings

STOP_TIMEOUT = 5.0  # seconds from SIGTERM to SIGKILL for users' programs
REMOVE_TIMEOUT = 5.0  # seconds until a killed process has left its group
POLL = 0.02

Warn = Callable[[str], None]


class CaptureKeeper:
    """What is attached and pinned, and the groups of users' programs, from `take_over` to `remove_everything`."""

    def __init__(self, settings: CaptureSettings, root: int, warn: Warn) -> None:
        """`root` is the descriptor of the hierarchy of control groups. Raises `CaptureUnavailable`."""
        self._settings, self._root, self._warn = settings, root, warn
        self._programs, self.maps = load_programs()
        self._folder = settings.pins / str(os.getpid())
        self._made: list[str] = []
        self._captured: dict[str, int | None] = {}
        self._users: dict[str, ControlGroup] = {}
        self._counter = 0
        self.replaces_previous = False
        self._own = group_path().rstrip("/")
        self.serving: ControlGroup | None = None

    def take_over(self, streams: int, resolver: int) -> None:
        """Capture, in the place of what an earlier service has left. Raises `CaptureUnavailable`, OSError.

        `streams` and `resolver` are the ports of the entrance. No connection goes any other way meanwhile: addresses
        that were captured are so in the new maps before a program is replaced.
        """
        previous = read_pinned(self._settings.pins)
        self.replaces_previous = bool(previous)
        for one in previous:
            for address in list(one.maps.captured_addresses()) if one.maps is not None else ():
                self.maps.capture_address(address)
        pin_capture(self._folder, self._programs, self.maps)
        self.serving = self._make_serving_group()
        self.maps.set_entrances(
            streams, resolver, excluded_mark=self._settings.excluded_mark, excludes_groups=True
        )
        self.maps.exclude_groups(self._excluded_ids())
        for path in self._settings.groups:
            self._made += make_path(self._root, path)
        old = [one.programs for one in previous]
        for path, group in all_groups(self._root):
            with self._while_it_exists(path):
                self._take_over_group(path, group, old)
        for one in previous:
            one.remove()

    @contextlib.contextmanager
    def _while_it_exists(self, path: str) -> Iterator[None]:
        """Pass over the errors of a group that others remove meanwhile."""
        try:
            yield
        except (OSError, CaptureUnavailable):
            if group_id(self._root, path) is not None:
                raise

    def _take_over_group(self, path: str, group: int, old: list[CapturePrograms]) -> None:
        if is_stale_serving(path):
            with contextlib.suppress(OSError):
                os.rmdir(f".{path}", dir_fd=self._root)
        elif self._is_configured(path):
            self._programs.attach(group, old)
            self._captured[path] = os.fstat(group).st_ino
        elif any(one.is_attached(group) for one in old):
            if owner_of(path) is None:  # no longer configured
                for one in old:
                    one.detach(group)
            else:
                self._programs.attach(group, old)
                self._users[path] = open_at(self._root, path)

    def _is_configured(self, path: str) -> bool:
        return path.strip("/") in {one.strip("/") for one in self._settings.groups}

    def _make_serving_group(self) -> ControlGroup:
        """Make the group of the process that serves, whose own sessions are never captured."""
        return make_at(self._root, self._own, f"{SERVING_PREFIX}{os.getpid()}")

    def _excluded_ids(self) -> set[int]:
        found = {group_id(self._root, path) for path in self._settings.excluded}
        if self.serving is not None:
            found.add(self.serving.id)
        return {one for one in found if one is not None}

    def refresh(self) -> None:
        """Follow groups that were made anew, and remove those of users' programs that have ended."""
        self.maps.exclude_groups(self._excluded_ids())
        for path in self._settings.groups:
            name = f"/{path.strip('/')}"
            present = group_id(self._root, path)
            if present is not None and present != self._captured.get(name):
                self._warn(f"control group {path} was made anew: captured again")
                with self._while_it_exists(path):
                    self._attach_again(path)
            self._captured[name] = present
        self._remove_ended_programs()

    def _attach_again(self, path: str) -> None:
        group = open_group(self._root, path)
        try:
            self._programs.attach(group)
        finally:
            os.close(group)

    def _remove_ended_programs(self) -> None:
        for path, user in list(self._users.items()):
            if not user.is_populated():
                self._remove_user_group(path)

    def move_into_group(self, peer: PeerProcess) -> int:
        """Put a user's process into a captured group below its own; return the group's id. Raises `JoinRefused`."""
        peer.check()
        self._remove_ended_programs()
        if sum(owner_of(path) == peer.uid for path in self._users) >= self._settings.user_programs:
            raise JoinRefused(
                f"user {peer.uid} has {self._settings.user_programs} captured programs already",
                "--max-programs-per-user of the service allows more",
            )
        try:
            path = group_path(peer.process).rstrip("/")
            self._refuse_excluded(path)
            self._counter += 1
            name = f"{USER_PREFIX}{peer.uid}-{os.getpid()}-{self._counter}"
            group = make_at(self._root, path, name)
            self._users[f"{path}/{name}"] = group
            try:
                self._programs.attach(group.descriptor)
                peer.check()
                os.write(group.join_descriptor, b"%d\n" % peer.process)
                peer.check()
            except BaseException:
                if not group.is_populated():
                    self._remove_user_group(f"{path}/{name}")
                raise
        except (OSError, CaptureUnavailable) as error:
            raise JoinRefused(f"the process cannot be moved into a captured control group: {error}") from None
        return group.id

    def _refuse_excluded(self, path: str) -> None:
        for one in self._settings.excluded:
            if f"{path}/".startswith(f"/{one.strip('/')}/") or not one.strip("/"):
                raise JoinRefused(
                    f"the process is in the control group {one}, which is excluded from capture",
                    "start it from another session or unit",
                )

    def _remove_user_group(self, path: str) -> None:
        self._users.pop(path).remove()

    def remove_everything(self) -> None:
        """Release what is captured. Users' programs are ended first: without the service their hosts are out of reach.

        Raises OSError where something cannot be removed.
        """
        self._end_user_programs()
        for path, group in all_groups(self._root):
            with self._while_it_exists(path):
                self._programs.detach(group)
        if self.serving is not None:
            _wait_until_empty(self.serving)
            self.serving.remove()
        for path in self._made:
            with contextlib.suppress(OSError):  # others have put something into it
                os.rmdir(f"./{path}", dir_fd=self._root)
        remove_folder(self._folder)
        self.close()

    def close(self) -> None:
        """Close the descriptors of programs and maps; what is attached and pinned stays."""
        self._programs.close()
        self.maps.close()

    def _end_user_programs(self) -> None:
        for group in self._users.values():
            for process in group.processes():
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT
        while any(group.is_populated() for group in self._users.values()) and time.monotonic() < deadline:
            time.sleep(POLL)
        for path, group in list(self._users.items()):
            group.kill_processes()
            _wait_until_empty(group)
            self._remove_user_group(path)


def _wait_until_empty(group: ControlGroup) -> None:
    deadline = time.monotonic() + REMOVE_TIMEOUT
    while group.is_populated() and time.monotonic() < deadline:
        time.sleep(POLL)
