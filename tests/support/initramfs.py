"""Write a folder as an initramfs (cpio, format newc): a root that a kernel boots without a disk."""

import os
import stat
from pathlib import Path
from typing import BinaryIO


def write_initramfs(folder: Path, file: BinaryIO) -> None:
    """Write all directories, files and links below `folder`; hard links become copies, devices are left out."""
    number = 0
    for root, folders, names in os.walk(folder):
        for name in sorted([*folders, *names]):
            path = Path(root, name)
            about = path.lstat()
            if stat.S_ISLNK(about.st_mode):
                content = os.fsencode(os.readlink(path))
            elif stat.S_ISREG(about.st_mode):
                content = path.read_bytes()
            elif stat.S_ISDIR(about.st_mode):
                content = b""
            else:
                continue
            number += 1
            _write_entry(file, str(path.relative_to(folder)), number, about.st_mode, content)
    _write_entry(file, "TRAILER!!!", 0, 0, b"")


def _write_entry(file: BinaryIO, name: str, number: int, mode: int, content: bytes) -> None:
    # inode, mode, user, group, links, time, size, device (two numbers twice), length of the name, checksum
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name.encode()) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    file.write(head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4))
