"""The commands that `make lab` suggests at its end; a test runs them."""

from lab.namespace.place import LabFolder
from lab.sample import SAMPLE
from lab.topology import SERVICE_NAME

EDGE = "edge2"


def suggested_commands(place: LabFolder) -> tuple[str, ...]:
    """Return command lines to type next, the last of which removes the lab."""
    state = place.node(EDGE)
    return (
        f"sennit lab exec phone -- sennit get smkex://{SERVICE_NAME}/{SAMPLE} --verbose -o /dev/null",
        "sennit lab run all",
        "sennit lab attack",
        "sennit lab status",
        f"sennit lab exec {EDGE} -- sennit forwarder status --state {state} --bpffs {state / 'bpf'}",
        "sennit lab down",
    )
