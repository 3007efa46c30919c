"""Binary layout of the values that C and Python share (datapath/c/layout.h)."""

import struct
from dataclasses import dataclass

from balancer.model.reference.packet import mapped_address
from balancer.model.reference.tunnel import DONT_FRAGMENT, TTL, Ends, Tunnel
from balancer.model.table import EdgeState
from balancer.model.verdict import Reason

LAYOUT_VERSION = 11  # names the folder of pins
ADDRESS = struct.Struct("=16s")
CONFIG = struct.Struct("=16s16s13I")
LIVE = struct.Struct("=IIIIIIIIQ")
EDGE = struct.Struct("=16sIBBH")
VIP_KEY = struct.Struct("=16sI")
VIP = struct.Struct("=HHI")
FIRST_VIP = struct.Struct("=16s16sHHI4I")
ID = struct.Struct("=I")
COUNTER = struct.Struct("=QQ")
EDGE_COUNTER = struct.Struct("=QQQQ")
OWNER_BUDGET = struct.Struct("=5Q")
BUCKET = struct.Struct("=HH")
QUIET = struct.Struct("=II")
ARRIVAL = struct.Struct("=II")
HOP = struct.Struct("=Q16s12s4x")
BY_XDP = len(Reason)  # offset of the XDP counter of a reason
CAPTURED = struct.Struct("=QIIII")  # followed by the packet's first bytes
STATES = {EdgeState.UP: 1, EdgeState.DRAINING: 2, EdgeState.DOWN: 3}
OUTER_V6, GUE = 1, 2

SECOND = 1_000_000_000  # in nanoseconds
TICKS = 10  # per second, counted by the daemon


@dataclass(frozen=True, slots=True)
class Budgets:
    """Rate limits per second; 0 is no limit. Bursts of up to 200 ms are allowed."""

    # resets and ICMP messages: enough to notify clients, too few to be useful for reflection
    answers: int = 1_000
    # SYNs of one IPv4 address or IPv6 /64: a carrier-grade NAT has tens of thousands of users
    source_syns: int = 1_000
    # SYNs to one owner: more than the handshakes of 8 cores (1,400 each with TLS 1.3)
    owner_syns: int = 20_000
    # packets to one owner: a tenth of what one core can drop; five per SYN
    owner_packets: int = 100_000
    # ICMP errors to one owner about flows that it has answered, and as many about others: each flow sends a few
    owner_errors: int = 1_000
    # packets that a site hands on to one owner: acknowledgements of some 10 Gbit/s
    site_packets: int = 1_000_000

    def first_costs(self) -> tuple[int, ...]:
        """Return the cost of each event in nanoseconds, in the order of struct config up to `packet_cost`."""
        rates = (self.answers, self.source_syns, self.owner_syns, self.owner_packets)
        return tuple(map(_event_cost, rates))

    def last_costs(self) -> tuple[int, int, int]:
        """Return `error_cost`, `site_cost` and `site_quiet` of struct config."""
        return _event_cost(self.owner_errors), _event_cost(self.site_packets), _per_tick(self.site_packets)

    @property
    def quiet_packets(self) -> int:
        """Packets to an owner per tick that pass unchecked."""
        return _per_tick(self.owner_packets)


def _event_cost(rate: int) -> int:
    return SECOND // rate if rate else 0


def _per_tick(rate: int) -> int:
    return -(-rate // TICKS)


NO_LIMITS = Budgets(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ForwarderConfig:
    """struct config. `outside_index` is 0 if there are several outside interfaces."""

    own_id: int
    own: Ends
    backbone_index: int
    outside_index: int
    backbone_mtu: int
    budgets: Budgets = Budgets()
    seed: int = 0

    def pack(self) -> bytes:
        return CONFIG.pack(
            mapped_address(self.own.v4) if self.own.v4 else b"",
            mapped_address(self.own.v6) if self.own.v6 else b"",
            self.own_id,
            self.backbone_index,
            self.outside_index,
            self.backbone_mtu,
            *self.budgets.first_costs(),
            self.budgets.quiet_packets,
            self.seed,
            *self.budgets.last_costs(),
        )


def pack_edge(tunnel: Tunnel, state: EdgeState) -> bytes:
    kind = (OUTER_V6 if tunnel.version == 6 else 0) | (GUE if tunnel.gue else 0)
    return EDGE.pack(tunnel.destination, _constant_sum(tunnel), STATES[state], kind, tunnel.outer)


def _constant_sum(tunnel: Tunnel) -> int:
    """Return the sum of the constant words of the outer IPv4 header, in host byte order."""
    if tunnel.version == 6:
        return 0
    head = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, DONT_FRAGMENT, TTL, 0, 0)
    return sum(struct.unpack("=10H", head + tunnel.source[12:] + tunnel.destination[12:]))
