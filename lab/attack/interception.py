"""Put a carrier's router under an attacker's control: what the phone sends to the VIP goes to a process there.

TPROXY: the attacker ends the phone's TCP connections under the VIP's address, and opens its own towards the edge under
the phone's, so that neither end sees an address that it should not.
"""

import contextlib
from collections.abc import Iterator

from lab.errors import LabFailed
from lab.running import Lab, run

MARK = 0x5A
TABLE = 90
PORT = 7000
RESOLVER_PORT = 7053
NFT = "sennit_attack"


@contextlib.contextmanager
def intercept_connections(lab: Lab, carrier: str, *, addresses: tuple[str, ...]) -> Iterator[None]:
    """Send the phone's connections to `addresses` through port PORT of the carrier, until the end."""
    to_attacker = f"tproxy to :{PORT} meta mark set {MARK} accept"
    from_phone = f'iifname "phone" ip daddr {{ {", ".join(addresses)} }} meta l4proto tcp'
    answers = f"meta l4proto tcp socket transparent 1 meta mark set {MARK} accept"
    chain = f"type filter hook prerouting priority mangle; {answers}; {from_phone} {to_attacker} ;"
    rules = f"table ip {NFT} {{ chain prerouting {{ {chain} }} ; }}"
    route = ("local", "default", "dev", "lo", "table", str(TABLE))
    rule = ("fwmark", str(MARK), "lookup", str(TABLE))
    try:
        _run_command(lab, carrier, "ip", "route", "replace", *route)
        _run_command(lab, carrier, "ip", "rule", "add", *rule)
        _run_command(lab, carrier, "nft", rules)
        yield
    finally:
        for command in (
            ("nft", "delete", "table", "ip", NFT),
            ("ip", "rule", "del", *rule),
            ("ip", "route", "del", *route),
        ):
            run(lab, carrier, *command)


@contextlib.contextmanager
def names_forged(lab: Lab, carrier: str) -> Iterator[None]:
    """Send the phone's questions to the carrier's resolver to port RESOLVER_PORT instead."""
    name = f"{NFT}_names"
    rules = (
        f"table ip {name} {{ chain prerouting {{ type nat hook prerouting priority dstnat; "
        f'iifname "phone" udp dport 53 redirect to :{RESOLVER_PORT} ; }} ; }}'
    )
    _run_command(lab, carrier, "nft", rules)
    try:
        yield
    finally:
        run(lab, carrier, "nft", "delete", "table", "ip", name)


def _run_command(lab: Lab, node: str, *command: str) -> None:
    done = run(lab, node, *command)
    if done.returncode:
        raise LabFailed(f"on {node}: {' '.join(command)}: {done.stderr.strip()}")
