"""Links of the compose lab made slow, as far as the kernel can: by tc in the containers that own the hosts' network."""

from collections.abc import Callable

from lab.emulation import netem
from lab.emulation.impairment import Impairment
from lab.errors import LabFailed
from lab.topology import LabLink

# runs a command in a node's network and returns its status and what it said
Execute = Callable[..., tuple[int, str]]


def set_link(execute: Execute, link: LabLink, impairment: Impairment) -> str:
    """Make both directions of the link be like this; returns what was done. Raises `LabFailed`."""
    if not impairment.delay and impairment.rate is None:
        raise LabFailed("neither a delay nor a rate: `--clear` takes both away")
    how = "netem"
    for end in (link.left, link.right):
        status, said = execute(end.node, "tc", *netem.netem_arguments(end.interface, impairment))
        if status and impairment.delay:
            raise LabFailed(
                f"{link.name}: this kernel has no netem ({said.strip()}), which containers need for a delay; a rate"
                " alone works, and the namespace lab brings an emulator of its own"
            )
        if status:
            how = "tbf"
            status, said = execute(end.node, "tc", *netem.rate_words(end.interface, impairment))
        if status:
            raise LabFailed(f"{link.name}: tc on {end.node}: {said.strip()}")
    return f"by {how}, not measured"


def clear_link(execute: Execute, link: LabLink) -> None:
    """Make the link a plain cable again; harmless when it is one."""
    for end in (link.left, link.right):
        execute(end.node, "tc", *netem.clear_words(end.interface))
