"""The values that C and Python share (datapath/c/layout.h), and their bytes."""

import ipaddress
import struct
from dataclasses import dataclass

from balancer.model.table import EdgeState

LAYOUT_VERSION = 2  # of everything pinned: another layout, another folder
CONFIG = struct.Struct("=4s4sIIIHHII")
EDGE = struct.Struct("=4sI")
ID = struct.Struct("=I")
COUNTER = struct.Struct("=QQ")
STATES = {EdgeState.UP: 1, EdgeState.DRAINING: 2, EdgeState.DOWN: 3}


@dataclass(frozen=True, slots=True)
class ForwarderConfig:
    """What the programs know of their own edge. `backbone_mtu` in bytes; indexes are those of interfaces."""

    vip: str
    own_tunnel: str
    own_id: int
    backbone_index: int
    outside_index: int
    service_port: int
    id_port_base: int
    backbone_mtu: int

    def pack(self) -> bytes:
        return CONFIG.pack(
            ipaddress.IPv4Address(self.vip).packed,
            ipaddress.IPv4Address(self.own_tunnel).packed,
            self.own_id,
            self.backbone_index,
            self.outside_index,
            self.service_port,
            self.id_port_base,
            self.backbone_mtu,
            1,
        )


def pack_edge(tunnel: str, state: EdgeState) -> bytes:
    return EDGE.pack(ipaddress.IPv4Address(tunnel).packed, STATES[state])
