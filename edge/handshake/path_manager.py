"""MPTCP path management in a process of its own, so that the edge's workers hold no CAP_NET_ADMIN.

It takes three requests of fixed size over a socketpair, one packet each, and does them only for connections whose
local address is a VIP. It ends when its last client has gone.
"""

import argparse
import asyncio
import errno
import ipaddress
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Collection

from runtime.capabilities import NET_ADMIN, keep_only_capabilities
from smkex.transport.mptcp.errors import MissingSubflow, MptcpError, NotPermitted
from smkex.transport.mptcp.info import FourTuple
from smkex.transport.mptcp.path_manager import (
    MptcpNetlink,
    forbid_joins_to_first_address,
    use_userspace_path_manager,
)
from smkex.transport.mptcp.subflow_diag import SubflowDiag, SubflowState

_ANNOUNCE, _SET_BACKUP, _INSPECT = 1, 2, 3
# sequence, operation, backup, token, local address and port, remote address and port
_REQUEST = struct.Struct("!IBBI16sH16sH")
# sequence, errno, mark, bits of SubflowState
_ANSWER = struct.Struct("!IIIB")
_ADDRESS_ID = 1
_START_TIMEOUT = 10.0


class PathManagerGone(MptcpError):
    """The path manager process has ended: no MPTCP connection can be steered any more."""

    hint = "its last words are in the edge's log; restart the edge"


class PathManagerClient:
    """The workers' side: `Steering`, and `announce`. Belongs to one event loop."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._sequence = 0
        self._waiting: dict[int, asyncio.Future[tuple[int, int, int]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        channel.setblocking(False)

    async def announce(self, token: int, vip: str, port: int) -> None:
        """Send ADD_ADDR of (vip, port) on this connection. Raises MissingSubflow where there is none."""
        await self._ask(_ANNOUNCE, token, FourTuple(vip, port, vip, 0))

    async def set_backup(self, token: int, addresses: FourTuple, backup: bool) -> None:
        await self._ask(_SET_BACKUP, token, addresses, backup)

    async def inspect(self, addresses: FourTuple) -> SubflowState:
        mark, bits = await self._ask(_INSPECT, 0, addresses)
        return SubflowState(bool(bits & 1), bool(bits & 2), bool(bits & 4), mark)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
        self._fail_all()

    async def _ask(
        self, operation: int, token: int, addresses: FourTuple, backup: bool = False
    ) -> tuple[int, int]:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._channel.fileno(), self._answered)
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        sequence = self._sequence
        request = _REQUEST.pack(
            sequence,
            operation,
            backup,
            token,
            _pack_address(addresses.local),
            addresses.local_port,
            _pack_address(addresses.remote),
            addresses.remote_port,
        )
        answer = self._waiting[sequence] = self._loop.create_future()
        try:
            await self._send(request)
            number, mark, bits = await answer
        finally:
            self._waiting.pop(sequence, None)
        if number in (errno.EPERM, errno.EACCES):
            raise NotPermitted(f"the path manager may not do this for {addresses}")
        if number:
            raise MissingSubflow(f"the kernel would not do this for {addresses}: {os.strerror(number)}")
        return mark, bits

    async def _send(self, request: bytes) -> None:
        while True:
            try:
                self._channel.send(request)
                return
            except BlockingIOError:
                await asyncio.sleep(0.001)
            except OSError as error:
                raise PathManagerGone(f"the path manager does not listen: {error}") from error

    def _answered(self) -> None:
        while True:
            try:
                raw = self._channel.recv(_ANSWER.size)
            except BlockingIOError:
                return
            except OSError:
                raw = b""
            if len(raw) != _ANSWER.size:
                if self._loop is not None:
                    self._loop.remove_reader(self._channel.fileno())
                self._fail_all()
                return
            sequence, number, mark, bits = _ANSWER.unpack(raw)
            future = self._waiting.get(sequence)
            if future is not None and not future.done():
                future.set_result((number, mark, bits))

    def _fail_all(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(PathManagerGone("the path manager has ended"))


def start_path_manager(
    vips: Collection[str], *, clients: int = 1
) -> tuple["subprocess.Popen[bytes]", list[socket.socket]]:
    """Start the process and wait until it manages the namespace's paths; one channel for each client.

    Call it before giving up CAP_NET_ADMIN. Closing all channels ends the process. Raises NotPermitted,
    Unsupported, PathManagerGone with its reason.
    """
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(clients)]
    command = [sys.executable, "-m", "edge.handshake.path_manager"]
    command += [f"--vip={vip}" for vip in vips]
    command += [f"--channel={theirs.fileno()}" for _, theirs in pairs]
    process = subprocess.Popen(
        command, pass_fds=[theirs.fileno() for _, theirs in pairs], stdin=subprocess.DEVNULL
    )
    for _, theirs in pairs:
        theirs.close()
    channels = [ours for ours, _ in pairs]
    try:
        channels[0].settimeout(_START_TIMEOUT)
        word = channels[0].recv(1024)
        if word != b"ready":
            kind, _, text = word.decode().partition(":")
            failure = NotPermitted if kind == "NotPermitted" else PathManagerGone
            raise failure(text or "the path manager did not start")
    except BaseException as error:
        for channel in channels:
            channel.close()
        process.kill()
        process.wait()
        if isinstance(error, TimeoutError):
            raise PathManagerGone(f"the path manager was not ready in {_START_TIMEOUT:g} s") from None
        raise
    return process, channels


def main(arguments: list[str]) -> int:
    """Run as the path manager process."""
    parser = argparse.ArgumentParser(prog="edge.handshake.path_manager")
    parser.add_argument("--vip", action="append", required=True, type=ipaddress.ip_address)
    parser.add_argument("--channel", action="append", required=True, type=int)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the edge ends it by closing the channels
    channels = [socket.socket(fileno=descriptor) for descriptor in options.channel]
    try:
        use_userspace_path_manager()
        forbid_joins_to_first_address()
        netlink = MptcpNetlink()
        netlink.flush_endpoints()
        diag = SubflowDiag()
        keep_only_capabilities(NET_ADMIN)
    except (MptcpError, OSError) as error:
        channels[0].send(f"{type(error).__name__}:{error}".encode())
        return 1
    channels[0].send(b"ready")
    _serve_channels(channels, frozenset(map(str, options.vip)), netlink, diag)
    return 0


def _serve_channels(
    channels: list[socket.socket], vips: frozenset[str], netlink: MptcpNetlink, diag: SubflowDiag
) -> None:
    with selectors.DefaultSelector() as selector:
        for channel in channels:
            selector.register(channel, selectors.EVENT_READ, channel)
        selector.register(netlink.events_fileno(), selectors.EVENT_READ)
        clients = len(channels)
        while clients:
            for key, _ in selector.select():
                channel = key.data
                if channel is None:
                    netlink.discard_events()
                elif raw := channel.recv(_REQUEST.size):
                    channel.send(_handle_request(raw, vips, netlink, diag))
                else:
                    selector.unregister(channel)
                    channel.close()
                    clients -= 1


def _handle_request(raw: bytes, vips: frozenset[str], netlink: MptcpNetlink, diag: SubflowDiag) -> bytes:
    if len(raw) != _REQUEST.size:
        return _ANSWER.pack(0, errno.EINVAL, 0, 0)
    sequence, operation, backup, token, local, local_port, remote, remote_port = _REQUEST.unpack(raw)
    addresses = FourTuple(_unpack_address(local), local_port, _unpack_address(remote), remote_port)
    mark = bits = 0
    try:
        if addresses.local not in vips:
            return _ANSWER.pack(sequence, errno.EACCES, 0, 0)
        match operation:
            case 1:
                netlink.announce(token, addresses.local, local_port, address_id=_ADDRESS_ID)
            case 2:
                netlink.set_backup(token, addresses, bool(backup))
            case 3:
                state = diag.inspect(addresses)
                mark = state.mark
                bits = state.backup_here | state.backup_at_peer << 1 | state.fully_established << 2
            case _:
                return _ANSWER.pack(sequence, errno.EINVAL, 0, 0)
    except NotPermitted:
        return _ANSWER.pack(sequence, errno.EPERM, 0, 0)
    except MissingSubflow:
        return _ANSWER.pack(sequence, errno.ENOENT, 0, 0)
    except OSError as error:
        return _ANSWER.pack(sequence, error.errno or errno.EIO, 0, 0)
    return _ANSWER.pack(sequence, 0, mark, bits)


def _pack_address(address: str) -> bytes:
    ip = ipaddress.ip_address(address)
    return ip.packed if ip.version == 6 else b"\0" * 10 + b"\xff\xff" + ip.packed


def _unpack_address(packed: bytes) -> str:
    ip = ipaddress.IPv6Address(packed)
    return str(ip.ipv4_mapped or ip)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
