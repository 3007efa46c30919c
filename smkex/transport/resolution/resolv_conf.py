"""The resolvers of /etc/resolv.conf (resolv.conf(5)), which know nothing of paths."""

import ipaddress
from pathlib import Path

from smkex.transport.routes.routes import Address

RESOLV_CONF = Path("/etc/resolv.conf")


def read_resolv_conf(path: Path = RESOLV_CONF) -> list[tuple[Address, str]]:
    """Return each nameserver's address, with the zone (interface) of a link-local one; none without a file."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        text, _, zone = words[1].partition("%")
        try:
            found.append((ipaddress.ip_address(text), zone))
        except ValueError:
            continue
    return found
