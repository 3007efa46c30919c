"""The kernel headers that bcc wants, where the machine has none: a small tree around the uapi headers.

The programs use uapi headers only (Debian's linux-libc-dev), so nothing in it depends on the running kernel.
"""

import os
from pathlib import Path

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
    """There are neither kernel headers nor those of linux-libc-dev."""


def kernel_headers(folder: Path) -> Path | None:
    """Return a header tree made below `folder`, or None where the machine's own kernel headers will do."""
    # not Path.is_dir, which raises where systemd hides the folder (ProtectKernelModules)
    if os.path.isdir(f"/lib/modules/{os.uname().release}/build/include"):
        return None
    uapi = Path("/usr/include")
    machine = uapi / f"{os.uname().machine}-linux-gnu" / "asm"
    if not (uapi / "linux" / "bpf.h").exists() or not machine.is_dir():
        raise HeadersMissing("no kernel headers: apt-get install linux-libc-dev")
    for name, target in (("linux", uapi / "linux"), ("asm-generic", uapi / "asm-generic"), ("asm", machine)):
        link = folder / "include" / "uapi" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target)
    _write(folder / "include" / "linux" / "kconfig.h", KCONFIG)
    _write(folder / "include" / "linux" / "log2.h", "")
    _write(folder / "arch" / "x86" / "include" / "asm" / "page.h", "#define PAGE_SIZE 4096\n")
    return folder


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
