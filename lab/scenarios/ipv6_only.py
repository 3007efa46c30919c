"""Downloads over IPv6: from a service with both versions, then by a phone and at an edge that have lost IPv4.

Over IPv6 the owner's locator is an address of its own, at the service port, for both transports.
"""

import json

from lab.host import ip_commands
from lab.ipv6 import resolvers_v6
from lab.running import Lab, read_network, run_network_command
from lab.sample import SAMPLE
from lab.scenarios.download import (
    DownloadOutcome,
    download_sample,
    first_carrier,
    id_of,
    nearest_to_first_path,
    sample_digest,
)
from lab.scenarios.verdict import Verdict
from lab.topology import DUAL_NAME, V6_NAME, VIP, VIP6
from lab.wait import wait_for

LIMIT = 30  # seconds until a route has moved


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed`."""
    wanted = sample_digest(lab)
    owner = id_of(nearest_to_first_path(lab))
    for transport in lab.transports:
        done = _download_from(lab, V6_NAME, "--transport", transport)
        _check_download(verdict, f"IPv6, {transport}", done, wanted, VIP6)
        verdict.equal("  owner", f"edge {done.owner}", f"edge {owner}")
    _lose_ipv4(lab, "phone")
    try:
        resolvers = resolvers_v6(lab.topology, "phone").items()
        options = [word for name, address in resolvers for word in ("--resolver", f"{name}={address}")]
        _check_download(
            verdict, "a phone without IPv4", _download_from(lab, DUAL_NAME, *options), wanted, VIP6
        )
    finally:
        _restore_ipv4(lab, "phone")
    _run_without_ipv4_at_owner(lab, verdict, wanted)


def _run_without_ipv4_at_owner(lab: Lab, verdict: Verdict, wanted: str) -> None:
    """The owner's uplink has IPv6 alone: IPv4 goes to another edge, IPv6 stays."""
    edge, carrier = nearest_to_first_path(lab), first_carrier(lab)
    before = _route_to_vip(lab, carrier)
    _lose_ipv4(lab, edge.name)
    try:
        wait_for(
            f"another route of {carrier} to {VIP}",
            lambda: _route_to_vip(lab, carrier) not in (None, before),
            LIMIT,
        )
        done = _download_from(lab, V6_NAME)
        _check_download(verdict, f"{edge.name} without IPv4: IPv6", done, wanted, VIP6)
        verdict.equal("  owner", f"edge {done.owner}", f"edge {id_of(edge)}")
        done = _download_from(lab, VIP)
        _check_download(verdict, f"{edge.name} without IPv4: IPv4", done, wanted, VIP)
        verdict.equal("  another owner", str(done.owner != id_of(edge)).lower(), "true")
    finally:
        _restore_ipv4(lab, edge.name)
    lab.wait_until_announced(edge)


def _download_from(lab: Lab, host: str, *options: str) -> DownloadOutcome:
    return download_sample(lab, *options, url=f"smkex://{host}/{SAMPLE}")


def _check_download(verdict: Verdict, what: str, done: DownloadOutcome, wanted: str, vip: str) -> None:
    verdict.equal(f"{what}: SHA-256 is the origin's", str(done.sha256 == wanted).lower(), "true")
    verdict.equal("  service address", str(done.report["vip"]), vip)
    verdict.equal("  downgrades", ", ".join(done.report["downgrades"]) or "none", "none")
    entered = [path["ingress_id"] for path in done.report["paths"]]
    verdict.equal(
        "  paths entered at different edges", str(len(set(entered)) == len(entered)).lower(), "true"
    )


def _route_to_vip(lab: Lab, carrier: str) -> str | None:
    routes = json.loads(read_network(lab, carrier, "ip", "-j", "route", "show", VIP) or "[]")
    return str(routes[0].get("gateway")) if routes else None


def _lose_ipv4(lab: Lab, node: str) -> None:
    """Remove the IPv4 addresses of a node's links, not of its backbone; the routes by them go too."""
    for own, _, _ in lab.topology.ends(node):
        run_network_command(lab, node, "ip", "-4", "address", "flush", "dev", own.interface)


def _restore_ipv4(lab: Lab, node: str) -> None:
    for own, _, _ in lab.topology.ends(node):
        run_network_command(lab, node, "ip", "address", "replace", str(own.address), "dev", own.interface)
    for words in ip_commands(lab.topology, node):
        run_network_command(lab, node, "ip", *words.split())
