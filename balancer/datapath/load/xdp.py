"""Attach XDP programs by BPF links, pinned beside the maps so that they outlive `load`.

The kernel lets no other program replace one attached by a link, and a foreign program is never replaced. Removing the
pin detaches the program; tc continues.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from runtime.bpf.links import link_info, link_xdp, update_link
from runtime.bpf.maps import open_pinned, pin

FOLDER = "sennit-xdp"  # not versioned: every later version finds the links


def attach_xdp(bpffs: Path, index: int, program: int) -> None:
    """Attach, atomically replacing an earlier program of Sennit. Raises OSError."""
    path = bpffs / FOLDER / str(index)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists():
        with _open_link(path) as link:
            try:
                update_link(link, program)
                return
            except OSError as error:
                if error.errno != errno.ENOLINK:  # a deleted interface had this index
                    raise
        path.unlink()
    link = link_xdp(program, index)
    try:
        pin(link, path)
    finally:
        os.close(link)


def detach_xdp(bpffs: Path, but: tuple[int, ...] = ()) -> bool:
    """Remove Sennit's programs from all interfaces but these; return whether there were any."""
    pinned = [path for path in _pinned_links(bpffs) if int(path.name) not in but]
    for path in pinned:
        path.unlink()
    with contextlib.suppress(OSError):  # not there, or not empty
        (bpffs / FOLDER).rmdir()
    return bool(pinned)


def attached_xdp(bpffs: Path) -> dict[int, int]:
    """Return the ids of Sennit's attached programs by interface index."""
    found: dict[int, int] = {}
    for path in _pinned_links(bpffs):
        with _open_link(path) as link:
            info = link_info(link)
            if info.index:
                found[info.index] = info.program_id
    return found


def foreign_xdp(kernel: IPRoute, bpffs: Path, index: int) -> int | None:
    """Return the id of a foreign XDP program on an interface, None if there is none."""
    message: Any = kernel.get_links(index)[0]
    about: Any = message.get_attr("IFLA_XDP")
    program = about.get_attr("IFLA_XDP_PROG_ID") if about else None
    if not program or attached_xdp(bpffs).get(index) == program:
        return None
    return int(program)


def _pinned_links(bpffs: Path) -> list[Path]:
    folder = bpffs / FOLDER
    return sorted(folder.iterdir()) if folder.is_dir() else []


@contextlib.contextmanager
def _open_link(path: Path) -> Iterator[int]:
    link = open_pinned(path)
    try:
        yield link
    finally:
        os.close(link)
