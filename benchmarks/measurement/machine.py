"""What a result was measured on; without it a figure says nothing."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from smkex.build import describe_build


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory in GiB, kernel, Python, commit, how it was built, and the load before the start."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "sennit": describe_build(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def stolen_seconds() -> float:
    """Seconds of processor time that the host has taken since boot (proc(5)): noise not of our making."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")
