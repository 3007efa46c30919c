"""The node's installation as `load` decided it: forwarder.json of the state folder, read by `run` and `detach`."""

from dataclasses import dataclass
from pathlib import Path

from balancer.datapath.load.loaded import ProgramForm
from balancer.model.reference.tunnel import Ends
from balancer.model.table import Encapsulation
from node.state.catalogue import FORWARDER_INSTALL
from node.vip import Vip, vip_from_json


class NotInstalled(Exception):
    """forwarder.json is missing or invalid."""


@dataclass(frozen=True, slots=True)
class ForwarderInstall:
    """Interface names, this edge's tunnel endpoints and VIP, and the options and findings of `load`."""

    edge_id: int
    outside: tuple[str, ...]
    backbone: str
    own: Ends
    vip: Vip
    encapsulation: Encapsulation | None = None
    no_xdp: str = ""  # why tc handles all packets; "": XDP forwards
    form: ProgramForm = (
        ProgramForm.SOURCE
    )  # from which they were loaded; before releases had objects, always that

    @property
    def interfaces(self) -> tuple[str, ...]:
        return (*self.outside, self.backbone)

    def write_file(self, state: Path) -> None:
        """Write forwarder.json."""
        fields = {
            "edge_id": self.edge_id,
            "outside": self.outside,
            "backbone": self.backbone,
            "tunnel_v4": self.own.v4,
            "tunnel_v6": self.own.v6,
            "vip": self.vip.to_json(),
            "encapsulation": self.encapsulation,
            "no_xdp": self.no_xdp,
            "form": self.form,
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
                ProgramForm(fields.get("form", ProgramForm.SOURCE)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotInstalled(
                f"{FORWARDER_INSTALL.path_in(state)}: {error}: `sennit forwarder load` first"
            ) from None
