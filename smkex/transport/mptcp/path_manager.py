"""The kernel's userspace path manager (`mptcp_pm`): announce, create, steer and end subflows.

All of it needs CAP_NET_ADMIN in the network namespace. The commands exist since Linux 5.19.
"""

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from smkex.transport.mptcp.errors import MptcpUnsupported, as_not_permitted
from smkex.transport.mptcp.info import FourTuple
from smkex.transport.routes.netlink import (
    NETLINK_GENERIC,
    NetlinkSocket,
    encode_attribute,
    encode_nested,
    parse_attributes,
    parse_messages,
    resolve_family,
)

_FLUSH, _SET_FLAGS, _ANNOUNCE, _REMOVE, _SUBFLOW_CREATE, _SUBFLOW_DESTROY = 4, 7, 8, 9, 10, 11
_ADDR, _TOKEN, _LOC_ID, _ADDR_REMOTE = 1, 4, 5, 6
_SIGNAL, _BACKUP = 1, 4
_EVENT_ANNOUNCED = 6
_EVENT_TOKEN, _EVENT_DADDR4, _EVENT_DADDR6, _EVENT_DPORT = 1, 7, 8, 10
_SYSCTL = Path("/proc/sys/net/mptcp")


@dataclass(frozen=True, slots=True)
class AddressAnnouncement:
    """An address out of an ADD_ADDR, as written by the peer or an attacker on the path. Never to be dialled."""

    token: int
    address: str
    port: int


class MptcpNetlink:
    """A client of `mptcp_pm`. While `listening`, the kernel accepts joins and delivers announcements.

    Raises NotPermitted without CAP_NET_ADMIN, MptcpUnsupported where the kernel lacks it, OSError for what the
    kernel refuses (ESRCH: no connection with this token, or no such subflow).
    """

    def __init__(self, *, listening: bool = True) -> None:
        self._requests = NetlinkSocket(NETLINK_GENERIC)
        self._events: NetlinkSocket | None = None
        try:
            self._family, groups = resolve_family(self._requests, "mptcp_pm")
            if listening:
                self._events = NetlinkSocket(NETLINK_GENERIC)
                self._events.join_group(groups["mptcp_pm_events"])
        except FileNotFoundError:
            self.close()
            raise MptcpUnsupported("this kernel has no mptcp_pm: MPTCP is not built in") from None
        except OSError as error:
            self.close()
            raise as_not_permitted(error, "cannot follow MPTCP path manager events") from error
        except BaseException:
            self.close()
            raise

    def announce(self, token: int, address: str, port: int, *, address_id: int) -> None:
        """Send ADD_ADDR for (address, port) to the connection's peer."""
        self._command(
            "announce an address",
            _ANNOUNCE,
            _encode_token(token),
            _encode_endpoint(_ADDR, address, port, address_id, _SIGNAL),
        )

    def remove(self, token: int, *, address_id: int) -> None:
        """Withdraw an announced address."""
        self._command(
            "remove an address", _REMOVE, _encode_token(token), encode_attribute(_LOC_ID, bytes([address_id]))
        )

    def create_subflow(
        self, token: int, local: str, remote: str, remote_port: int, *, address_id: int, interface: int = 0
    ) -> None:
        """Start a join from a local address; returns before it is established."""
        self._command(
            "create a subflow",
            _SUBFLOW_CREATE,
            _encode_token(token),
            _encode_endpoint(_ADDR, local, 0, address_id, None, interface),
            _encode_endpoint(_ADDR_REMOTE, remote, remote_port),
        )

    def destroy_subflow(self, token: int, addresses: FourTuple) -> None:
        self._command(
            "destroy a subflow",
            _SUBFLOW_DESTROY,
            _encode_token(token),
            _encode_endpoint(_ADDR, addresses.local, addresses.local_port),
            _encode_endpoint(_ADDR_REMOTE, addresses.remote, addresses.remote_port),
        )

    def set_backup(self, token: int, addresses: FourTuple, backup: bool) -> None:
        """Mark one subflow as backup or not, here at once and at the peer by MP_PRIO (which may be lost)."""
        self._command(
            "steer a subflow",
            _SET_FLAGS,
            _encode_token(token),
            _encode_endpoint(_ADDR, addresses.local, addresses.local_port, None, _BACKUP if backup else 0),
            _encode_endpoint(_ADDR_REMOTE, addresses.remote, addresses.remote_port),
        )

    def flush_endpoints(self) -> None:
        """Remove the in-kernel path manager's endpoints of this namespace: they would hold their ports."""
        self._command("flush MPTCP endpoints", _FLUSH)

    def announcements(self) -> list[AddressAnnouncement]:
        """Return the announcements that have come in since the last call. Also empties the socket."""
        found: list[AddressAnnouncement] = []
        while self._events is not None and (datagram := self._events.receive_waiting()):
            found += parse_announcements(datagram)
        return found

    def discard_events(self) -> None:
        while self._events is not None and self._events.receive_waiting():
            pass

    def events_fileno(self) -> int:
        """Return the descriptor that becomes readable when an event comes; -1 when not listening."""
        return self._events.fileno() if self._events is not None else -1

    def close(self) -> None:
        self._requests.close()
        if self._events is not None:
            self._events.close()

    def _command(self, what: str, command: int, *fields: bytes) -> None:
        try:
            self._requests.request(self._family, struct.pack("=BBH", command, 1, 0) + b"".join(fields))
        except OSError as error:
            raise as_not_permitted(error, f"cannot {what}") from error


def use_userspace_path_manager() -> None:
    """Give new MPTCP sockets of this namespace to the userspace path manager. Harmless to repeat."""
    _set_sysctl(*_userspace_setting())


@contextmanager
def userspace_path_manager() -> Iterator[None]:
    """Give the MPTCP sockets that are created inside to the userspace path manager.

    The kernel reads the choice when a socket is created, so the namespace's other programs have their own again
    afterwards. Processes take turns; a socket that another one accepts meanwhile has no path manager in the kernel.
    """
    name, value = _userspace_setting()
    with (_SYSCTL / name).open() as setting:
        fcntl.flock(setting, fcntl.LOCK_EX)
        before = setting.read().strip()
        _set_sysctl(name, value)
        try:
            yield
        finally:
            _set_sysctl(name, before)


def _userspace_setting() -> tuple[str, str]:
    """Return name and value of the sysctl that chooses it. Raises `MptcpUnsupported`."""
    if not _SYSCTL.exists():
        raise MptcpUnsupported("this kernel has no MPTCP")
    for name, value in (("path_manager", "userspace"), ("pm_type", "1")):
        if (_SYSCTL / name).exists():
            return name, value
    raise MptcpUnsupported("this kernel has no userspace path manager for MPTCP")


def forbid_joins_to_first_address() -> None:
    """Tell clients (C flag, RFC 8684 3.1) to join at announced addresses only: the first may be anycast."""
    _set_sysctl("allow_join_initial_addr_port", "0")


def _set_sysctl(name: str, value: str) -> None:
    path = _SYSCTL / name
    if path.read_text().strip() == value:
        return
    try:
        path.write_text(value)
    except OSError as error:
        raise as_not_permitted(error, f"cannot set net.mptcp.{name}={value}") from error


def _encode_token(token: int) -> bytes:
    return encode_attribute(_TOKEN, struct.pack("=I", token))


def _encode_endpoint(
    kind: int,
    address: str,
    port: int,
    address_id: int | None = None,
    flags: int | None = None,
    interface: int = 0,
) -> bytes:
    ip = ipaddress.ip_address(address)
    family, where = (socket.AF_INET, 3) if ip.version == 4 else (socket.AF_INET6, 4)
    fields = [encode_attribute(1, struct.pack("=H", family)), encode_attribute(where, ip.packed)]
    if address_id is not None:
        fields.append(encode_attribute(2, bytes([address_id])))
    if port:
        fields.append(encode_attribute(5, struct.pack("=H", port)))
    if flags is not None:
        fields.append(encode_attribute(6, struct.pack("=I", flags)))
    if interface:
        fields.append(encode_attribute(7, struct.pack("=i", interface)))
    return encode_nested(kind, *fields)


def parse_announcements(datagram: bytes) -> list[AddressAnnouncement]:
    """Read the announcements among the events of one datagram; malformed ones are ignored."""
    found: list[AddressAnnouncement] = []
    for _, _, body in parse_messages(datagram):
        if body[:1] == bytes([_EVENT_ANNOUNCED]):
            try:
                found.append(_parse_announcement(body[4:]))
            except (KeyError, ValueError, struct.error):
                continue
    return found


def _parse_announcement(raw: bytes) -> AddressAnnouncement:
    fields = dict(parse_attributes(raw))
    (token,) = struct.unpack("=I", fields[_EVENT_TOKEN])
    address = ipaddress.ip_address(fields.get(_EVENT_DADDR4) or fields[_EVENT_DADDR6])
    port = struct.unpack("!H", fields[_EVENT_DPORT])[0] if _EVENT_DPORT in fields else 0
    return AddressAnnouncement(token, str(address), port)
