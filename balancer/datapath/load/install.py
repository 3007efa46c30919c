"""What `load` decided for this node, kept in forwarder.json of the state folder for `run` and `detach`."""

from dataclasses import dataclass
from pathlib import Path

from balancer.model.reference.tunnel import Ends
from balancer.model.table import Encapsulation
from node.state.catalogue import FORWARDER_INSTALL
from node.vip import Vip, vip_from_json


class NotInstalled(Exception):
    """`load` has not been here."""


@dataclass(frozen=True, slots=True)
class ForwarderInstall:
    """Interfaces by name, this edge's tunnel ends, its VIP, and what `load` was told or found out beside the table."""

    edge_id: int
    outside: tuple[str, ...]
    backbone: str
    own: Ends
    vip: Vip
    encapsulation: Encapsulation | None = None
    no_xdp: str = ""  # why tc does everything; "": XDP has the fast path

    @property
    def interfaces(self) -> tuple[str, ...]:
        return (*self.outside, self.backbone)

    def keep(self, state: Path) -> None:
        fields = {
            "edge_id": self.edge_id,
            "outside": self.outside,
            "backbone": self.backbone,
            "tunnel_v4": self.own.v4,
            "tunnel_v6": self.own.v6,
            "vip": self.vip.to_json(),
            "encapsulation": self.encapsulation,
            "no_xdp": self.no_xdp,
        }
        FORWARDER_INSTALL.write_object(state, fields)

    @classmethod
    def read(cls, state: Path) -> "ForwarderInstall":
        """Raises `NotInstalled`."""
        try:
            fields = FORWARDER_INSTALL.read_object(state)
            chosen = fields["encapsulation"]
            return cls(
                int(fields["edge_id"]),
                tuple(fields["outside"]),
                fields["backbone"],
                Ends(fields["tunnel_v4"], fields["tunnel_v6"]),
                vip_from_json(fields["vip"]),
                Encapsulation(chosen) if chosen else None,
                str(fields.get("no_xdp", "")),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotInstalled(
                f"{FORWARDER_INSTALL.path_in(state)}: {error}: `sennit forwarder load` first"
            ) from None
