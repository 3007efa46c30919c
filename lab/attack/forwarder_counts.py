"""Packets by reason, as an edge's forwarder counts them."""

import json

from lab.namespace import daemons
from lab.namespace.running import NamespaceLab
from lab.topology import LabNode


def read_reasons(lab: NamespaceLab, edge: LabNode) -> dict[str, int]:
    """Return how many packets each reason has. Raises `LabFailed`."""
    status = (*daemons.forwarder_command(lab.place, edge, "status"), "--json")
    counted = json.loads(daemons.run(lab.place, edge.name, *status))
    return {reason: int(values["packets"]) for reason, values in counted.items()}
