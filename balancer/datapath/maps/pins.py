"""Pin the forwarder's maps in a folder of a bpffs, versioned by layout."""

import subprocess
from pathlib import Path

from balancer.datapath.maps.layout import (
    ARRIVAL,
    CONFIG,
    COUNTER,
    EDGE,
    EDGE_COUNTER,
    FIRST_VIP,
    HOP,
    ID,
    LAYOUT_VERSION,
    LIVE,
    OWNER_BUDGET,
    QUIET,
)
from runtime.bpf.maps import Map, pin, possible_cpus

_BPFFS_MAGIC = "bpf_fs"
SIZES = {
    "config_map": (ID.size, CONFIG.size),
    "live_map": (ID.size, LIVE.size),
    "edges": (ID.size, EDGE.size),
    "tunnels": (ID.size, ID.size),
    "vips": (ID.size, ID.size),
    "rings": (ID.size, ID.size),
    "first_vips": (ID.size, FIRST_VIP.size),
    "outsides": (ID.size, ID.size),
    "counters": (ID.size, COUNTER.size),
    "edge_counters": (ID.size, EDGE_COUNTER.size),
    "captures": (0, 0),
    "answer_budget": (ID.size, 8),
    "source_budgets": (ID.size, 8),
    "owner_budgets": (ID.size, OWNER_BUDGET.size),
    "quiet_budgets": (ID.size, QUIET.size),
    "admitted": (ID.size, 4),
    "arrivals": (ID.size, ARRIVAL.size),
    "hops": (ID.size, HOP.size),
}

PER_PROCESSOR = ("counters", "edge_counters", "quiet_budgets", "hops")


class NotLoaded(Exception):
    """No programs are loaded, or they have another layout."""


def mount_bpffs(path: Path) -> None:
    """Mount a bpffs at `path` if there is none. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True)
    if not _is_bpffs(path):
        done = subprocess.run(["mount", "-t", "bpf", "bpf", str(path)], capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"cannot mount a bpffs at {path}: {done.stderr.strip()}")


def _is_bpffs(path: Path) -> bool:
    done = subprocess.run(["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True)
    return done.stdout.strip() == _BPFFS_MAGIC


def pin_folder(path: Path) -> Path:
    return path / f"sennit-{LAYOUT_VERSION}"


def program_pin(path: Path, name: str) -> Path:
    """Return where a tc program is pinned, from where it is attached again."""
    return pin_folder(path) / f"program_{name}"


def pin_all(path: Path, maps: dict[str, int], programs: dict[str, int]) -> None:
    """Pin maps and programs by name, replacing earlier pins."""
    unpin_all(path)
    pin_folder(path).mkdir(mode=0o700)
    for name, descriptor in maps.items():
        pin(descriptor, pin_folder(path) / name)
    for name, descriptor in programs.items():
        pin(descriptor, program_pin(path, name))


def unpin_all(path: Path) -> None:
    if pin_folder(path).is_dir():
        for pinned in pin_folder(path).iterdir():
            pinned.unlink()
        pin_folder(path).rmdir()


def pinned_at(path: Path, name: str) -> int | None:
    """Return the pin's inode, which changes when another map is pinned; None if there is no pin."""
    try:
        return (pin_folder(path) / name).stat().st_ino
    except FileNotFoundError:
        return None


def open_map(path: Path, name: str) -> Map:
    """Raises `NotLoaded`."""
    key, value = SIZES[name]
    size = value * possible_cpus() if name in PER_PROCESSOR else value
    try:
        return Map.pinned(pin_folder(path) / name, key, size)
    except FileNotFoundError:
        raise NotLoaded(f"nothing is loaded at {path}: `sennit forwarder load` first") from None
