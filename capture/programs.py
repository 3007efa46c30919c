"""The loaded programs, and their attachment to control groups.

An attachment belongs to the control group, not to a process: while the group exists its processes are captured, also
when no process serves the entrance any more.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping

from capture.load.programs import ATTACH_TYPES, MAPS, CaptureUnavailable
from capture.maps import CaptureMaps
from runtime.bpf.control_groups import attach_to_group, detach_from_group, program_id, programs_at_group

LOAD_TIMEOUT = 60.0  # seconds; compiling takes one or two


class CapturePrograms:
    """One program for each attach type, by name: see capture/c/capture.c."""

    def __init__(self, descriptors: Mapping[str, int]) -> None:
        self.descriptors = dict(descriptors)
        self._ids = {name: program_id(descriptor) for name, descriptor in self.descriptors.items()}

    def attach(self, group: int, replaced: Iterable["CapturePrograms"] = ()) -> None:
        """Attach to a control group by its descriptor; those of `replaced` leave it. Raises `CaptureUnavailable`."""
        others = list(replaced)
        for name, descriptor in self.descriptors.items():
            kind = ATTACH_TYPES[name]
            try:
                present = programs_at_group(group, kind)
                old = [one.descriptors[name] for one in others if one._ids.get(name) in present]
                if self._ids[name] not in present:
                    attach_to_group(descriptor, group, kind, old.pop(0) if old else None)
                for other in old:
                    detach_from_group(other, group, kind)
            except OSError as error:
                raise CaptureUnavailable(
                    f"cannot attach {name} to a control group: {error.strerror}"
                ) from None

    def detach(self, group: int) -> None:
        """Detach what is attached of these programs. Raises OSError."""
        for name, descriptor in self.descriptors.items():
            kind = ATTACH_TYPES[name]
            if self._ids[name] in programs_at_group(group, kind):
                detach_from_group(descriptor, group, kind)

    def is_attached(self, group: int) -> bool:
        """Return whether any of these programs is attached to the group itself."""
        return any(self._ids[name] in programs_at_group(group, ATTACH_TYPES[name]) for name in self._ids)

    def close(self) -> None:
        for descriptor in self.descriptors.values():
            os.close(descriptor)


def load_programs() -> tuple[CapturePrograms, CaptureMaps]:
    """Compile and load; nothing is captured before `attach`. Raises `CaptureUnavailable`.

    bcc holds 130 MB and its compiler: a process of its own has it, which ends.
    """
    expected = len(MAPS) + len(ATTACH_TYPES)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "capture.load", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        theirs.close()
        ours.settimeout(LOAD_TIMEOUT)
        try:
            said, descriptors, _, _ = socket.recv_fds(ours, 4096, expected)
        except TimeoutError:
            raise CaptureUnavailable(f"the programs were not loaded within {LOAD_TIMEOUT:g} s") from None
        finally:
            process.kill()
            process.wait()
    if said != b"loaded" or len(descriptors) != expected:
        raise CaptureUnavailable(
            said.decode(errors="replace") or "the loading process ended without a reason"
        )
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # recv_fds of Python 3.11 takes no flags
    programs = dict(zip(ATTACH_TYPES, descriptors[len(MAPS) :], strict=True))
    return CapturePrograms(programs), CaptureMaps(dict(zip(MAPS, descriptors, strict=False)))
