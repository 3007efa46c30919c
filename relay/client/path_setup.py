"""Set a path up and take it down: WireGuard interface, address, routes, and the description for clients."""

import ipaddress
import struct
from pathlib import Path
from typing import Any

from relay.client.path_store import PathRefused, StoredPath
from relay.client.policy_routes import (
    FIRST_TABLE,
    apply_routes,
    find_gateway,
    interface_index,
    plan_routes,
    remove_routes,
)
from relay.configuration import Endpoint
from relay.host_network import bring_up, open_netlink
from relay.wireguard.device import DeviceChange, WireguardPeer, WireguardUnavailable
from relay.wireguard.interface import create_device, has_interface, remove_device
from relay.wireguard.keys import derive_public_key
from runtime.files import replace_text
from smkex.transport.routes.netlink import NetlinkSocket, encode_attribute, encode_nested
from smkex.transport.routes.paths import default_interfaces
from smkex.transport.routes.relay_paths import RelayPath, description_folder
from smkex.transport.routes.target import format_endpoint

KEEPALIVE = 25  # seconds: translators of addresses forget UDP after 30 (RFC 4787 asks for 120)
RP_FILTER = Path("/proc/sys/net/ipv4/conf")
_LOOSE = 2
_NETLINK_ROUTE, _SET_LINK = 0, 19
_AF_SPEC, _AF_INET, _INET_CONF, _CONF_RP_FILTER = 26, 2, 1, 8  # linux/if_link.h, ip.h


def apply_path(path: StoredPath) -> RelayPath:
    """Set a path up, or mend what is there; what is as it should be is not touched.

    Raises `PathRefused` where the underlay does not lead to the relay, or the kernel refuses.
    """
    relay = path.configuration.relay
    try:
        with open_netlink(f"path {path.name}") as ipr:
            endpoint, underlay, gateway = _select_underlay(ipr, path)
            _configure_device(path, endpoint)
            hosts = [str(ipaddress.ip_interface(address)) for address in path.configuration.addresses]
            index = bring_up(ipr, path.name, hosts, relay.mtu)
            _loosen_reverse_path(path.name, index)
            way = (interface_index(underlay), gateway)
            destinations = _of_own_families(path, relay.destinations)
            own = path.configuration.addresses
            apply_routes(ipr, plan_routes(path.slot, path.name, index, destinations, own, endpoint[0], way))
    except WireguardUnavailable as error:
        raise PathRefused(str(error), error.hint) from None
    described = RelayPath(
        path.name,
        relay.name,
        format_endpoint(str(endpoint[0]), endpoint[1]),
        underlay,
        relay.prefixes,
        relay.resolvers,
    )
    _describe_path(described)
    return described


def remove_path(path: StoredPath) -> None:
    """Take a path down; nothing of it stays. Raises `PathRefused`."""
    try:
        (description_folder() / f"{path.name}.json").unlink(missing_ok=True)
        with open_netlink(f"path {path.name}") as ipr:
            remove_routes(ipr, path.slot)
        remove_device(path.name)
    except WireguardUnavailable as error:
        raise PathRefused(str(error), error.hint) from None
    except OSError as error:
        raise PathRefused(f"path {path.name}: {error.strerror or error}") from None


def is_foreign(path: StoredPath) -> bool:
    """Return whether an interface of the path's name is there that is not the path's."""
    if not has_interface(path.name):
        return False
    with open_netlink(f"path {path.name}") as ipr:
        rules = [rule for family in (2, 10) for rule in ipr.get_rules(family=family)]
    return all(rule.get_attr("FRA_TABLE") != FIRST_TABLE + path.slot for rule in rules)


def _of_own_families(path: StoredPath, prefixes: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the families that this end has an address of."""
    versions = {ipaddress.ip_address(address).version for address in path.configuration.addresses}
    return tuple(prefix for prefix in prefixes if ipaddress.ip_network(prefix).version in versions)


def _select_underlay(ipr: Any, path: StoredPath) -> tuple[Endpoint, str, str | None]:
    """Return the first endpoint that the underlay leads to, the underlay, and its next hop."""
    tried = []
    for endpoint in path.configuration.relay.endpoints:
        address = endpoint[0]
        names = [path.underlay] if path.underlay else default_interfaces(address.version)
        for name in names[:1]:
            try:
                return endpoint, name, find_gateway(ipr, interface_index(name), address)
            except LookupError:
                tried.append(f"{name} has no route to {address}")
    hint = (
        f"connect {path.underlay}, or choose another --interface"
        if path.underlay
        else "connect this host to a network first"
    )
    raise PathRefused("; ".join(tried) or "no interface has a default route", hint)


def _configure_device(path: StoredPath, endpoint: Endpoint) -> None:
    configuration = path.configuration
    device = create_device(path.name)
    status = device.read_status()
    sources = _of_own_families(path, configuration.relay.sources)
    peer = WireguardPeer(configuration.relay.public_key, sources, endpoint, KEEPALIVE)
    there = status.peers.get(peer.public_key)
    if (
        status.public_key == derive_public_key(configuration.private_key)
        and set(status.peers) == {peer.public_key}
        and there is not None
        and there.allowed == frozenset(peer.allowed)
        and there.endpoint == format_endpoint(str(endpoint[0]), endpoint[1])
    ):
        return
    stale = tuple(key for key in status.peers if key != peer.public_key)
    change = DeviceChange(private_key=configuration.private_key, remove_peers=stale, set_peers=(peer,))
    device.apply_change(change)


def _loosen_reverse_path(name: str, index: int) -> None:
    """Set rp_filter to loose, since the main table leads elsewhere; by netlink, as /proc may be read-only."""
    if (RP_FILTER / name / "rp_filter").read_text().strip() == str(_LOOSE):
        return
    value = encode_attribute(_CONF_RP_FILTER, struct.pack("=I", _LOOSE))
    spec = encode_nested(_AF_SPEC, encode_nested(_AF_INET, encode_nested(_INET_CONF, value)))
    kernel = NetlinkSocket(_NETLINK_ROUTE)
    try:
        kernel.request(_SET_LINK, struct.pack("=BxHiII", 0, 0, index, 0, 0) + spec)
    except OSError as error:
        raise WireguardUnavailable(f"rp_filter of {name} cannot be set: {error.strerror}") from None
    finally:
        kernel.close()


def _describe_path(described: RelayPath) -> None:
    folder = description_folder()
    file = folder / f"{described.interface}.json"
    try:
        if file.exists() and file.read_text() == described.as_text():
            return
        _make_readable_folder(folder)
        replace_text(file, described.as_text(), 0o644)
    except OSError as error:
        hint = "run as root" if isinstance(error, PermissionError) else ""
        raise PathRefused(f"{file}: {error.strerror or error}", hint) from None


def _make_readable_folder(folder: Path) -> None:
    """Make a folder, and those above it, that every user may read, whatever the umask."""
    for each in (folder, *folder.parents)[::-1]:
        if not each.exists():
            each.mkdir()
            each.chmod(0o755)
