"""Attach the programs to interfaces as tc filters (clsact). Foreign filters are never replaced."""

from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
HANDLE, PRIORITY = 1, 49000
OURS = "sennit:"
EEXIST = 17


class ForeignProgram(Exception):
    """A hook already has a filter of another program."""


def refuse_foreign(kernel: IPRoute, index: int, parent: int) -> None:
    """Raise `ForeignProgram` if a hook has a filter of another program."""
    for found in filter_names(kernel, index, parent):
        if not found.startswith(OURS):
            raise ForeignProgram(
                f"interface {index} has a foreign tc filter ({found or 'unnamed'}): remove it first"
            )


def attach(kernel: IPRoute, index: int, parent: int, descriptor: int, name: str) -> None:
    """Attach one program, replacing an earlier one of Sennit. Raises `ForeignProgram`."""
    try:
        kernel.tc("add", "clsact", index)
    except NetlinkError as error:
        if error.code != EEXIST:
            raise
    refuse_foreign(kernel, index, parent)
    kernel.tc(
        "replace-filter",
        "bpf",
        index,
        HANDLE,
        fd=descriptor,
        name=f"{OURS}{name}",
        parent=parent,
        prio=PRIORITY,
        protocol=3,
        direct_action=True,
    )


def filter_names(kernel: IPRoute, index: int, parent: int) -> list[str]:
    """Return the names of all filters at a hook; "" for an unnamed one."""
    names: list[str] = []
    for message in kernel.get_filters(index=index, parent=parent):
        options: Any = message.get_attr("TCA_OPTIONS")
        if options is not None:
            names.append((options.get_attr("TCA_BPF_NAME") or "") if hasattr(options, "get_attr") else "")
    return names


def detach(kernel: IPRoute, index: int) -> bool:
    """Remove Sennit's filters from both hooks, and clsact if nothing else uses it; return whether there were any."""
    found = {parent: filter_names(kernel, index, parent) for parent in (INGRESS, EGRESS)}
    ours = [parent for parent, names in found.items() if any(name.startswith(OURS) for name in names)]
    if ours and all(name.startswith(OURS) for names in found.values() for name in names):
        kernel.tc("del", "clsact", index)
    else:
        for parent in ours:
            kernel.tc("del-filter", "bpf", index, HANDLE, parent=parent, prio=PRIORITY, protocol=3)
    return bool(ours)
