"""The values that an operator configures."""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network

from balancer.model.table import Encapsulation


@dataclass(frozen=True, slots=True)
class ControlRules:
    """The values that an operator configures."""

    lease_seconds: float = 10.0
    # no session outlives a day; until then packets for the old owner must not reach another edge
    quarantine: timedelta = timedelta(days=1)
    # share of the active edges that soft failures never withdraw
    minimum_healthy: float = 2 / 3
    encapsulation: Encapsulation = Encapsulation.IPIP  # of tunnels to edges that enrol from now on
    # where tunnels may end: an edge is not believed about any other address; none: wherever a tunnel can end
    tunnel_prefixes: tuple[IPv4Network | IPv6Network, ...] = ()
    # one year and some weeks of audit log
    audit_retention: timedelta = timedelta(days=400)
