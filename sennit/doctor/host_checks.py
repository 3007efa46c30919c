"""Checks of every host: kernel, sysctls, clock, limit of open files."""

import ctypes
import os
import re
import resource
from pathlib import Path

from sennit.doctor.check_result import CheckResult, Report

KERNEL = (6, 1)  # of Debian 12, the oldest system that is supported
OPEN_FILES = 1024
SYSCTLS = Path("/proc/sys")
_TIMEX_BYTES = 512  # struct timex takes 208
_STATUS_OFFSET = 40  # of timex.status with 64-bit longs (linux/timex.h)
_UNSYNCHRONIZED = 0x40


def read_sysctl(name: str) -> str | None:
    """Return the value of a sysctl such as net.mptcp.enabled; None where the kernel has none."""
    try:
        return (SYSCTLS / name.replace(".", "/")).read_text().strip()
    except OSError:
        return None


def check_host(report: Report, *, open_files: int = OPEN_FILES) -> None:
    """Report on what clients and edges both need."""
    report(_check_kernel(os.uname().release))
    report(_check_mptcp())
    report(_check_clock())
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < open_files:
        report(
            CheckResult.error(
                "open files",
                f"at most {soft}, {open_files} are needed",
                f"`ulimit -n {open_files}`, or LimitNOFILE= in the unit",
            )
        )
    else:
        report(CheckResult.fine("open files", f"at most {soft}"))


def _check_kernel(release: str) -> CheckResult:
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < KERNEL:
        wanted = ".".join(map(str, KERNEL))
        return CheckResult.error(
            "kernel",
            f"Linux {release}",
            f"Linux {wanted} or later (Debian 12, Ubuntu 24.04); boot the distribution's newer kernel",
        )
    return CheckResult.fine("kernel", f"Linux {release}")


def _check_mptcp() -> CheckResult:
    match read_sysctl("net.mptcp.enabled"):
        case "1":
            return CheckResult.fine("mptcp", "net.mptcp.enabled is 1")
        case None:
            return CheckResult.warning(
                "mptcp",
                "the kernel has no MPTCP: transport tcp works, mptcp does not",
                "a kernel with CONFIG_MPTCP, where transport mptcp is wanted",
            )
        case value:
            return CheckResult.warning(
                "mptcp",
                f"net.mptcp.enabled is {value}: transport tcp works, mptcp does not",
                "`sysctl -w net.mptcp.enabled=1`",
            )


def _check_clock() -> CheckResult:
    libc = ctypes.CDLL(None, use_errno=True)
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    if ctypes.sizeof(ctypes.c_long) != 8 or libc.adjtimex(timex) < 0:
        return CheckResult.warning(
            "clock", "the kernel does not say whether it is synchronized", "`timedatectl timesync-status`"
        )
    if int.from_bytes(timex.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little") & _UNSYNCHRONIZED:
        return CheckResult.warning(
            "clock",
            "not synchronized: certificates and signed URLs are refused on a wrong clock",
            "start a time service, such as systemd-timesyncd or chrony; `timedatectl timesync-status`",
        )
    return CheckResult.fine("clock", "synchronized")
