"""The agent's instance: new at each start, and bound to the host's boot, so that a copied state folder is noticed."""

import hashlib
import secrets
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MACHINE_ID = Path("/etc/machine-id")


def new_instance(boot_id: Path = BOOT_ID, machine_id: Path = MACHINE_ID) -> str:
    """Return 16 hex digits of the host's boot and 16 random ones."""
    boot = hashlib.sha256(_read_line(boot_id) + b"\n" + _read_line(machine_id)).hexdigest()[:16]
    return f"{boot}-{secrets.token_hex(8)}"


def _read_line(path: Path) -> bytes:
    try:
        return path.read_bytes().strip()
    except OSError:
        return b""
