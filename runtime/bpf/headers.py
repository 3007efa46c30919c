"""The header tree that bcc compiles with: a small one around the uapi headers of Debian's linux-libc-dev.

The host's kernel headers (/lib/modules/RELEASE/build, /sys/kernel/kheaders.tar.xz) are never used: they differ between
hosts and define macros such as `current`. With uapi headers only, the programs compile identically on every host.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

INSTALLED = Path("/usr/include")
VARIABLE = "BCC_KERNEL_SOURCE"  # the first place where bcc looks for headers

KCONFIG = """\
#pragma once
#define __LINUX_BPF_H__
#define CONFIG_BPF_SYSCALL 1
typedef signed char s8;
typedef unsigned char u8;
typedef signed short s16;
typedef unsigned short u16;
typedef signed int s32;
typedef unsigned int u32;
typedef signed long long s64;
typedef unsigned long long u64;
typedef _Bool bool;
typedef unsigned long size_t;
typedef unsigned long uintptr_t;
typedef int pid_t;
#define true 1
#define false 0
#define NULL ((void *)0)
"""


class HeadersMissing(Exception):
    """The uapi headers of linux-libc-dev are not installed."""


@contextlib.contextmanager
def own_headers() -> Iterator[None]:
    """Make bcc use the tree of `make_tree`, in a temporary folder. Raises `HeadersMissing`."""
    given = os.environ.get(VARIABLE)
    with tempfile.TemporaryDirectory(prefix="sennit-headers-") as folder:
        make_tree(Path(folder))
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            if given is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = given


def make_tree(folder: Path, uapi: Path = INSTALLED, machine: str = os.uname().machine) -> None:
    """Make the header tree below `folder`, of this machine's architecture. Raises `HeadersMissing`."""
    asm = uapi / f"{machine}-linux-gnu" / "asm"
    if not (uapi / "linux" / "bpf.h").exists() or not asm.is_dir():
        raise HeadersMissing(f"no uapi headers in {uapi}/linux or {asm}: apt-get install linux-libc-dev")
    for name, target in (("linux", uapi / "linux"), ("asm-generic", uapi / "asm-generic"), ("asm", asm)):
        link = folder / "include" / "uapi" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target)
    _write_header(folder / "include" / "linux" / "kconfig.h", KCONFIG)
    _write_header(folder / "include" / "linux" / "log2.h", "")
    _write_header(folder / "include" / "asm" / "page.h", "#define PAGE_SIZE 4096\n")


def _write_header(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
