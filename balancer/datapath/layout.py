"""The values that C and Python share (datapath/c/layout.h), and their bytes."""

import struct
from dataclasses import dataclass

from balancer.model.packet import mapped
from balancer.model.table import EdgeState
from balancer.model.tunnel import DONT_FRAGMENT, TTL, Ends, Tunnel

LAYOUT_VERSION = 3  # of everything pinned: another layout, another folder
ADDRESS = struct.Struct("=16s")
CONFIG = struct.Struct("=16s16sIIII")
LIVE = struct.Struct("=IIII")
EDGE = struct.Struct("=16sIBBH")
VIP_KEY = struct.Struct("=16sI")
VIP = struct.Struct("=HH")
ID = struct.Struct("=I")
COUNTER = struct.Struct("=QQ")
STATES = {EdgeState.UP: 1, EdgeState.DRAINING: 2, EdgeState.DOWN: 3}
OUTER_V6, GUE = 1, 2


@dataclass(frozen=True, slots=True)
class ForwarderConfig:
    """What the programs know of their own edge. `outside_index` is 0 where there are several; `mtu` in bytes."""

    own_id: int
    own: Ends
    backbone_index: int
    outside_index: int
    backbone_mtu: int

    def pack(self) -> bytes:
        return CONFIG.pack(
            mapped(self.own.v4) if self.own.v4 else b"",
            mapped(self.own.v6) if self.own.v6 else b"",
            self.own_id,
            self.backbone_index,
            self.outside_index,
            self.backbone_mtu,
        )


def pack_edge(tunnel: Tunnel, state: EdgeState) -> bytes:
    kind = (OUTER_V6 if tunnel.version == 6 else 0) | (GUE if tunnel.gue else 0)
    return EDGE.pack(tunnel.destination, _constant_sum(tunnel), STATES[state], kind, tunnel.outer)


def _constant_sum(tunnel: Tunnel) -> int:
    """The sum of the outer IPv4 header's words that are the same in every packet, as this machine loads them."""
    if tunnel.version == 6:
        return 0
    head = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, DONT_FRAGMENT, TTL, 0, 0)
    return sum(struct.unpack("=10H", head + tunnel.source[12:] + tunnel.destination[12:]))
