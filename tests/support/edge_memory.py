"""Resident memory of a running edge."""

from pathlib import Path


def peak_memory(pid: int) -> int:
    """Return the most bytes that a process has held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
