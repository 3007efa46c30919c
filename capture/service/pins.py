"""Programs and maps pinned in a BPF file system: a service that starts after a crash finds what is attached."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from capture.load.programs import ATTACH_TYPES, MAPS, CaptureUnavailable
from capture.maps import CaptureMaps
from capture.programs import CapturePrograms
from runtime.bpf.maps import open_pinned, pin

_PROGRAM, _MAP = "program-", "map-"


@dataclass(frozen=True, slots=True)
class PinnedCapture:
    """What one process of the service has pinned in a folder of its own."""

    folder: Path
    programs: CapturePrograms
    maps: CaptureMaps | None

    def remove(self) -> None:
        """Remove the pins; what is attached stays so."""
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()
        self.programs.close()
        if self.maps is not None:
            self.maps.close()


def pin_capture(folder: Path, programs: CapturePrograms, maps: CaptureMaps) -> None:
    """Pin everything below `folder`, which is made. Raises `CaptureUnavailable`."""
    try:
        folder.mkdir(parents=True, mode=0o700)
        for prefix, descriptors in ((_PROGRAM, programs.descriptors), (_MAP, maps.descriptors)):
            for name, descriptor in descriptors.items():
                pin(descriptor, folder / f"{prefix}{name}")
    except OSError as error:
        raise CaptureUnavailable(
            f"cannot pin in {folder}, is it in a BPF file system (mount -t bpf)? {error.strerror}"
        ) from None


def read_pinned(parent: Path) -> list[PinnedCapture]:
    """Return what services before this one have left. Raises OSError."""
    if not parent.is_dir():
        return []
    found = []
    for folder in sorted(parent.iterdir()):
        programs = _open_all(folder, _PROGRAM, ATTACH_TYPES)
        maps = _open_all(folder, _MAP, dict.fromkeys(MAPS, 0))
        whole = CaptureMaps(maps) if len(maps) == len(MAPS) else None
        if whole is None:
            for descriptor in maps.values():
                os.close(descriptor)
        found.append(PinnedCapture(folder, CapturePrograms(programs), whole))
    return found


def remove_folder(folder: Path) -> None:
    """Remove a folder of pins, whole or not, and its parent where it is empty."""
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _open_all(folder: Path, prefix: str, names: Mapping[str, int]) -> dict[str, int]:
    found = {}
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            found[name] = open_pinned(folder / f"{prefix}{name}")
    return found
