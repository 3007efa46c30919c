"""Attach the programs to interfaces as tc filters (clsact), beside nobody else's and never over them."""

from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
HANDLE, PRIORITY = 1, 49000
OURS = "sennit:"
EEXIST = 17


class ForeignProgram(Exception):
    """Somebody else's filter is where ours would go."""


def attach(kernel: IPRoute, index: int, parent: int, descriptor: int, name: str) -> None:
    """Attach or replace one program. Raises `ForeignProgram`."""
    try:
        kernel.tc("add", "clsact", index)
    except NetlinkError as error:
        if error.code != EEXIST:
            raise
    for found in filters(kernel, index, parent):
        if not found.startswith(OURS):
            raise ForeignProgram(
                f"interface {index} has a filter that is not ours ({found or 'no name'}): remove it first"
            )
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


def filters(kernel: IPRoute, index: int, parent: int) -> list[str]:
    """Names of all filters at a hook; "" for one without a name."""
    names: list[str] = []
    for message in kernel.get_filters(index=index, parent=parent):
        options: Any = message.get_attr("TCA_OPTIONS")
        if options is not None:
            names.append((options.get_attr("TCA_BPF_NAME") or "") if hasattr(options, "get_attr") else "")
    return names


def detach(kernel: IPRoute, index: int) -> bool:
    """Remove our filters from both hooks; whether there were any. The clsact goes when nothing else uses it."""
    removed, foreign = False, False
    for parent in (INGRESS, EGRESS):
        for name in filters(kernel, index, parent):
            if name.startswith(OURS):
                removed = True
            else:
                foreign = True
        if removed and not foreign:
            continue
    if removed and not foreign:
        kernel.tc("del", "clsact", index)
    elif removed:
        for parent in (INGRESS, EGRESS):
            try:
                kernel.tc("del-filter", "bpf", index, HANDLE, parent=parent, prio=PRIORITY, protocol=3)
            except NetlinkError:
                continue
    return removed
