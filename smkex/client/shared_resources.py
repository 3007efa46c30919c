"""What the paths of a session share, as far as this host and the edges see it: an attacker there is on all of them."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PREFIX_LENGTHS = {4: 24, 6: 48}  # as `--strict-paths` compares them (smkex/core/handshake/client.py)


@dataclass(frozen=True, slots=True)
class PathFacts:
    """One path that is in use: its local route, how the edge saw it, and the ASes of that address where known."""

    path: int
    interface: str
    leaves_by: str
    next_hop: str | None
    relay: str | None
    observed: str
    ingress_id: int
    origins: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SharedResource:
    """Something that paths share. `kind`: interface, uplink, client-address, client-prefix, ingress-edge, or as."""

    kind: str
    what: str
    paths: tuple[int, ...]
    text: str


def find_shared_resources(paths: Sequence[PathFacts]) -> tuple[SharedResource, ...]:
    """Return everything that two paths or more share."""
    found = [
        SharedResource("interface", name, numbers, f"interface {name}")
        for name, numbers in _group_paths((path.interface, path.path) for path in paths)
    ]
    found += _shared_uplinks(paths)
    addresses = [(path.path, ipaddress.ip_address(path.observed)) for path in paths]
    same = _group_paths((str(address), number) for number, address in addresses)
    found += [
        SharedResource("client-address", name, numbers, f"client address {name}") for name, numbers in same
    ]
    if not same:
        found += [
            SharedResource("client-prefix", name, numbers, f"client prefix {name}")
            for name, numbers in _group_paths(
                (str(ipaddress.ip_network((address, PREFIX_LENGTHS[address.version]), strict=False)), number)
                for number, address in addresses
            )
        ]
    found += [
        SharedResource("ingress-edge", name, numbers, f"ingress edge {name}")
        for name, numbers in _group_paths((str(path.ingress_id), path.path) for path in paths)
    ]
    found += [
        SharedResource("as", name, numbers, f"AS{name}")
        for name, numbers in _group_paths(
            (str(origin), path.path) for path in paths for origin in path.origins
        )
    ]
    return tuple(found)


def _shared_uplinks(paths: Sequence[PathFacts]) -> list[SharedResource]:
    """Uplinks of relay paths, which carry another path, too: one interface twice is listed by itself."""
    found = []
    uplinks = ((f"{path.leaves_by} by {path.next_hop or 'its link'}", path.path) for path in paths)
    for name, numbers in _group_paths(uplinks):
        inside = [path for path in paths if path.path in numbers and path.relay is not None]
        if not inside:
            continue
        tunnels = " and ".join(
            f"path {path.path} is inside WireGuard to relay {path.relay}" for path in inside
        )
        plain = [number for number in numbers if number not in {path.path for path in inside}]
        seen = (
            f"sees and can change path {', '.join(map(str, plain))} alone" if plain else "sees none of them"
        )
        text = f"uplink {name}; {tunnels}: an attacker there {seen}, and can stop all"
        found.append(SharedResource("uplink", name, numbers, text))
    return found


def _group_paths(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, tuple[int, ...]]]:
    groups: dict[str, list[int]] = {}
    for name, number in pairs:
        groups.setdefault(name, []).append(number)
    return [(name, tuple(numbers)) for name, numbers in groups.items() if len(numbers) > 1]
