"""Make the CDN known to the control plane: its VIP, a Fast Open key, and a one-time token for every edge."""

from collections.abc import Callable
from pathlib import Path

from lab.topology import VIP, VIP6, Topology

TOKEN = "enrolment.token"  # noqa: S105 - a file's name


def enrol(topology: Topology, folder: Callable[[str], Path], sennit: Callable[..., object]) -> None:
    """Add the VIP and a Fast Open key, and write each edge's token into its `folder`, by `sennit` commands.

    Nothing where that was done before.
    """
    wanted = [edge for edge in topology.edges() if not (folder(edge.name) / TOKEN).exists()]
    if len(wanted) == len(topology.edges()):
        sennit("vip", "add", "main", "--v4", VIP, "--v6", VIP6, "--locator", "mixed")
        sennit("fast-open-keys", "rotate")
    for edge in wanted:
        sennit(
            *("enrolment-token", "create", "--edge-name", edge.name, "--edge-id", str(edge.edge_id)),
            *("-o", str(folder(edge.name) / TOKEN)),
        )
