"""Policy routes: packets from a source address to the VIP leave by its own interface or are dropped.

A source address alone does not choose the way out. Binding an MPTCP socket to a device binds its first subflow
only, and whether a join is bound to the interface that its creation names depends on the kernel (6.18 does, and
we name it; older ones drop it). So each path of a connection gets a table of its own: the VIP by the
interface's next hop, and below it, for when the interface goes away, the VIP as unreachable.

The rules count for packets with the connection's mark alone (SO_MARK, which all its subflows inherit): rules that a
killed process left behind affect no other traffic.

Tables are numbered slots. A slot is held by a name in the abstract socket space, which belongs to the network
namespace as the tables do and goes with the process: what a crash leaves behind is found by its free name and
swept by the next user.
"""

import ipaddress
import socket
from dataclasses import dataclass, field
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from smkex.transport.mptcp.errors import MissingSubflow, MptcpWrongEgress, as_not_permitted
from smkex.transport.routes.paths import EgressRoute, find_egress, require_distinct_egress

_FIRST_TABLE = 0x5E000000
_SLOTS = 4096
_PRIORITY = 0x5E00  # before the main table (32766)
_UNREACHABLE = 7  # RTN_UNREACHABLE


@dataclass(slots=True)
class SourceRules:
    """The rules of one connection's paths. `close` removes them."""

    vip: str
    ways: tuple[EgressRoute, EgressRoute]
    locator_bits: int = (
        0  # low bits of the VIP that address locators differ in: the rules count for all of them
    )
    _slots: list[tuple[int, socket.socket]] = field(default_factory=list)

    @property
    def mark(self) -> int:
        """What the connection's packets are to be marked with: the number of its first table."""
        return _FIRST_TABLE + self._slots[0][0]

    @classmethod
    def install(cls, vip: str, interfaces: tuple[str, str], locator_bits: int = 0) -> "SourceRules":
        """Look up each interface's route to the VIP, pin it, and verify the kernel's choice.

        Blocks for some milliseconds. Raises MptcpWrongEgress, NotPermitted, and as `find_egress` and
        `require_distinct_egress`.
        """
        address = ipaddress.ip_address(vip)
        ways = (find_egress(interfaces[0], address), find_egress(interfaces[1], address))
        rules = cls(vip, ways, locator_bits)
        require_distinct_egress(*rules.ways)
        family = socket.AF_INET6 if ":" in vip else socket.AF_INET
        with IPRoute() as ipr:
            try:
                _remove_stale(ipr, family)
                for way in rules.ways:
                    rules._pin(ipr, family, way)
                rules._check(ipr, family, vip)
            except NetlinkError as error:
                rules._remove(ipr, family)
                raise as_not_permitted(OSError(error.code, str(error)), "cannot set source rules") from error
            except BaseException:
                rules._remove(ipr, family)
                raise
        return rules

    def check(self, locator: str) -> None:
        """Ask the kernel where each path's packets to the locator would go. Raises MptcpWrongEgress."""
        with IPRoute() as ipr:
            self._check(ipr, socket.AF_INET6 if ":" in self.vip else socket.AF_INET, locator)

    def close(self) -> None:
        if self._slots:
            with IPRoute() as ipr:
                self._remove(ipr, socket.AF_INET6 if ":" in self.vip else socket.AF_INET)

    def _pin(self, ipr: Any, family: int, way: EgressRoute) -> None:
        slot, holder = _take_slot()
        self._slots.append((slot, holder))
        table, bits = _FIRST_TABLE + slot, 128 if family == socket.AF_INET6 else 32
        _clear_table(ipr, family, table)
        out: dict[str, Any] = {"oif": way.index}
        if way.gateway is not None:
            out["gateway"] = way.gateway
        network = ipaddress.ip_network(f"{self.vip}/{bits - self.locator_bits}", strict=False)
        target = str(network)
        ipr.route("replace", family=family, dst=target, table=table, priority=1, **out)
        ipr.route("add", family=family, dst=target, table=table, priority=2, type=_UNREACHABLE)
        ipr.rule(
            "add",
            family=family,
            src=way.source,
            src_len=bits,
            dst=str(network.network_address),
            dst_len=network.prefixlen,
            fwmark=self.mark,
            table=table,
            priority=_PRIORITY,
        )

    def _check(self, ipr: Any, family: int, destination: str) -> None:
        for way in self.ways:
            try:
                (answer,) = ipr.route("get", family=family, dst=destination, src=way.source, mark=self.mark)
                leaves_by = answer.get_attr("RTA_OIF")
            except NetlinkError:
                leaves_by = None
            if leaves_by != way.index:
                raise MptcpWrongEgress(
                    f"packets from {way.source} to {destination} would not leave by {way.interface}",
                    hint="another policy rule comes first: see `ip rule` and `ip route get`",
                )

    def _remove(self, ipr: Any, family: int) -> None:
        while self._slots:
            slot, holder = self._slots.pop()
            try:
                _clear_table(ipr, family, _FIRST_TABLE + slot)
            finally:
                holder.close()


def _hold_slot(slot: int) -> socket.socket | None:
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(f"\0sennit-source-rule-{slot}")
    except OSError:
        holder.close()
        return None
    return holder


def _take_slot() -> tuple[int, socket.socket]:
    for slot in range(_SLOTS):
        if (holder := _hold_slot(slot)) is not None:
            return slot, holder
    raise MissingSubflow("too many connections have source rules in this network namespace")


def _remove_stale(ipr: Any, family: int) -> None:
    """Remove the rules whose holder has died."""
    for table in {rule.get_attr("FRA_TABLE") or 0 for rule in ipr.get_rules(family=family)}:
        slot = table - _FIRST_TABLE
        if 0 <= slot < _SLOTS and (holder := _hold_slot(slot)) is not None:
            try:
                _clear_table(ipr, family, table)
            finally:
                holder.close()


def _clear_table(ipr: Any, family: int, table: int) -> None:
    for rule in ipr.get_rules(family=family):
        if rule.get_attr("FRA_TABLE") == table:
            ipr.rule(
                "del",
                family=family,
                src=rule.get_attr("FRA_SRC"),
                src_len=rule["src_len"],
                dst=rule.get_attr("FRA_DST"),
                dst_len=rule["dst_len"],
                table=table,
                priority=_PRIORITY,
            )
    ipr.flush_routes(family=family, table=table)
