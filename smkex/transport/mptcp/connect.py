"""The client's end: the first subflow from interface 0, then a join from interface 1, each by its own way out."""

import asyncio
import errno
import os
import socket
import time
from collections.abc import Sequence
from threading import Thread

from smkex.transport.mptcp.errors import (
    MissingSubflow,
    MptcpTimedOut,
    MptcpUnsupported,
)
from smkex.transport.mptcp.info import IPPROTO_MPTCP, FourTuple
from smkex.transport.mptcp.path_manager import AddressAnnouncement, MptcpNetlink, userspace_path_manager
from smkex.transport.mptcp.pinned_connection import PinnedConnection, PollBackoff, wait_ready
from smkex.transport.mptcp.source_rules import SourceRules
from smkex.transport.mptcp.subflow_diag import SubflowDiag, SubflowState

_JOIN_ADDRESS_ID = 1
_LINGER, _LINGER_POLL = 2.0, 0.01


class DirectSteering:
    """Steering by netlink from this process, which therefore needs CAP_NET_ADMIN."""

    def __init__(self, rules: SourceRules) -> None:
        self.netlink = MptcpNetlink()
        self._diag = SubflowDiag({way.source: way.index for way in rules.ways})

    async def set_backup(self, token: int, addresses: FourTuple, backup: bool) -> None:
        try:
            self.netlink.set_backup(token, addresses, backup)
        except OSError as error:
            raise MissingSubflow(f"the kernel would not steer {addresses}: {error}") from error

    async def inspect(self, addresses: FourTuple) -> SubflowState:
        return self._diag.inspect(addresses)

    def close(self) -> None:
        self.netlink.close()
        self._diag.close()


class ClientConnection(PinnedConnection):
    """A pinned connection that the client opened: `join` adds path 1, `close` removes the source rules.

    It sets the marks that steer both ends' messages.
    """

    def __init__(
        self, sock: socket.socket, steering: DirectSteering, rules: SourceRules, *, timeout: float
    ) -> None:
        super().__init__(sock, steering, timeout=timeout)
        self._direct = steering
        self._rules = rules
        self._announced: list[AddressAnnouncement] = []
        self._closing = False
        self._marked: set[int] = set()

    async def join(self, locator: str, port: int) -> FourTuple:
        """Create the subflow of path 1 to the locator and wait until it can carry data.

        Raises MissingSubflow when it is refused or does not come, MptcpWrongEgress, UnexpectedSubflow.
        """
        self.verify()
        way = self._rules.ways[1]
        await asyncio.to_thread(self._rules.check, locator)
        first = self.paths[0]

        def matches(found: FourTuple) -> bool:
            wanted = (way.source, locator, port)
            return (found.local, found.remote, found.remote_port) == wanted and found.local != first.local

        # An ADD_ADDR echo may have displaced the DATA_ACK of the edge's last message. A join takes more than a round
        # trip, and after 200 ms without it the edge's kernel would send that message again. This sends an ACK.
        await self._send_mark(0)
        self.expect_join(matches)
        try:
            self._direct.netlink.create_subflow(
                self.token,
                way.source,
                locator,
                port,
                address_id=_JOIN_ADDRESS_ID,
                interface=way.index,
            )
        except OSError as error:
            raise MissingSubflow(f"no join from {way.interface} to {locator} port {port}: {error}") from error
        return await self.joined(started=True)

    async def _steer_to(self, path: int) -> None:
        """Mark all paths but this one."""
        for other in range(len(self._paths)):
            if (other != path) != (other in self._marked):
                self._marked ^= {other}
                await self._send_mark(other)
        wait = PollBackoff()
        while len(self._paths) > 1 and not await self._is_usable(path):
            await wait()

    async def _hold_path(self, path: int) -> None:
        """They are marked already."""

    async def _repeat_marks(self) -> None:
        if self._marked:
            for path in range(len(self._paths)):
                await self._send_mark(path)

    async def _send_mark(self, path: int) -> None:
        await self._steering.set_backup(self.token, self._paths[path], path in self._marked)

    @property
    def announcements(self) -> tuple[AddressAnnouncement, ...]:
        """ADD_ADDR announcements received so far: for comparison with the locator, never dialled."""
        fresh = self._direct.netlink.announcements()
        self._announced += [one for one in fresh if one.token == self.token]
        return tuple(self._announced)

    def close(self) -> None:
        """Close the socket (if it is not yet) and remove the source rules once the connection is closed.

        That goes on in a thread for up to two seconds. What cannot be closed by then, a dead path's subflow, goes
        on sending: its rules stay, and are swept by the next connection after this process.
        """
        super().close()
        self._direct.close()
        if not self._closing:
            self._closing = True
            Thread(
                target=_remove_rules_when_closed, args=(self._rules, self.paths), name="source-rules"
            ).start()


def _remove_rules_when_closed(rules: SourceRules, subflows: tuple[FourTuple, ...]) -> None:
    diag = SubflowDiag({way.source: way.index for way in rules.ways})
    deadline = time.monotonic() + _LINGER
    try:
        while any(map(diag.is_open, subflows)):
            if time.monotonic() > deadline:
                return
            time.sleep(_LINGER_POLL)
        rules.close()
    finally:
        diag.close()


async def connect_mptcp(
    vip: str, port: int, paths: Sequence[str], *, timeout: float = 10.0, locator_bits: int = 0
) -> ClientConnection:
    """Open the first subflow to VIP:port from the first of two interfaces.

    `locator_bits` is the number of low bits of the VIP that address locators differ in. The connection is the
    userspace path manager's, so that the kernel dials nothing by itself. Raises NotPermitted without
    CAP_NET_ADMIN, MptcpUnsupported, MptcpWrongEgress, MptcpFellBack, MissingSubflow (refused), MptcpTimedOut;
    PathUnusable and SharedPath of smkex.transport.routes.paths.
    """
    if len(paths) != 2:
        raise ValueError("exactly two paths")
    rules = await asyncio.to_thread(SourceRules.install, vip, (paths[0], paths[1]), locator_bits)
    steering: DirectSteering | None = None
    sock: socket.socket | None = None
    try:
        steering = DirectSteering(rules)
        with userspace_path_manager():
            sock = mptcp_socket(socket.AF_INET6 if ":" in vip else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, rules.mark)
        await _connect(sock, rules.ways[0].source, vip, port, timeout)
        return ClientConnection(sock, steering, rules, timeout=timeout)
    except BaseException:
        if steering is not None:
            steering.close()
        if sock is not None:
            sock.close()
        await asyncio.to_thread(rules.close)
        raise


def mptcp_socket(family: int) -> socket.socket:
    """Open a non-blocking MPTCP socket. Raises MptcpUnsupported."""
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, IPPROTO_MPTCP)
    except OSError as error:
        raise MptcpUnsupported(f"no MPTCP sockets here: {error}") from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def _connect(sock: socket.socket, source: str, vip: str, port: int, timeout: float) -> None:
    sock.bind((source, 0))
    number = sock.connect_ex((vip, port))
    if number and number != errno.EINPROGRESS:
        raise MissingSubflow(f"cannot connect to {vip} port {port}: {os.strerror(number)}")
    try:
        async with asyncio.timeout(timeout):
            await wait_ready(sock, write=True)
    except TimeoutError:
        raise MptcpTimedOut(f"{vip} port {port} did not answer within {timeout:g} s") from None
    if number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise MissingSubflow(f"cannot connect to {vip} port {port}: {os.strerror(number)}")
