"""The tc hooks that the programs occupy."""

from dataclasses import dataclass

from balancer.datapath.load.attach import EGRESS, INGRESS
from balancer.datapath.load.interfaces import AttachedLink
from balancer.datapath.load.loaded import RAW


@dataclass(frozen=True, slots=True)
class Hook:
    """A tc hook and the program that belongs there."""

    link: AttachedLink
    parent: int
    role: str

    @property
    def program(self) -> str:
        return self.role + RAW if self.link.raw else self.role


def list_hooks(
    outside: tuple[AttachedLink, ...], backbone: AttachedLink, loopback: AttachedLink
) -> list[Hook]:
    """List all hooks, outside ingress last: packets that it forwards need the other hooks."""
    hooks = [
        Hook(loopback, EGRESS, "owner_egress"),
        Hook(backbone, INGRESS, "tunnel_ingress"),
        Hook(backbone, EGRESS, "owner_egress"),
    ]
    hooks += [Hook(link, EGRESS, "owner_egress") for link in outside]
    return hooks + [Hook(link, INGRESS, "outside_ingress") for link in outside]
