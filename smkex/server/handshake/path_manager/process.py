"""The path manager process: it holds CAP_NET_ADMIN and serves `Operation`s for connections to the VIP only.

It ends when its last client has gone.
"""

import argparse
import errno
import ipaddress
import os
import selectors
import signal
import socket
import struct

from runtime.capabilities import NET_ADMIN, keep_only_capabilities
from runtime.core_dumps import forbid_core_dumps
from smkex.server.handshake.path_manager.messages import (
    NO_STATE,
    READY,
    REQUEST_SIZE,
    Operation,
    Request,
    Response,
)
from smkex.transport.mptcp.errors import MissingSubflow, MptcpError, NotPermitted
from smkex.transport.mptcp.info import connection_info
from smkex.transport.mptcp.path_manager import (
    MptcpNetlink,
    forbid_joins_to_first_address,
    use_userspace_path_manager,
)
from smkex.transport.mptcp.subflow_diag import SubflowDiag, SubflowState

_ADDRESS_ID = 1
_NO_LINGER = struct.pack("ii", 0, 0)


def main(arguments: list[str]) -> int:
    """Run as the path manager process."""
    parser = argparse.ArgumentParser(prog="smkex.server.handshake.path_manager")
    parser.add_argument("--vip", action="append", required=True, type=ipaddress.ip_address)
    parser.add_argument("--channel", action="append", required=True, type=int)
    options = parser.parse_args(arguments)
    forbid_core_dumps()
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
    channels[0].send(READY)
    PathManager(frozenset(map(str, options.vip)), netlink, diag).serve_channels(channels)
    return 0


class PathManager:
    """Serves channels until all have ended; `vips` are the local addresses whose connections may be steered.

    No channel delays another: while a client does not read a response, its further requests wait.
    """

    def __init__(self, vips: frozenset[str], netlink: MptcpNetlink, diag: SubflowDiag) -> None:
        self._vips = vips
        self._netlink = netlink
        self._diag = diag
        self._selector = selectors.DefaultSelector()
        self._unsent: dict[socket.socket, bytes] = {}  # the response that each blocked channel waits for

    def serve_channels(self, channels: list[socket.socket]) -> None:
        for channel in channels:
            channel.setblocking(False)
            self._selector.register(channel, selectors.EVENT_READ, channel)
        self._selector.register(self._netlink.events_fileno(), selectors.EVENT_READ)
        while len(self._selector.get_map()) > 1:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._netlink.discard_events()
                    continue
                try:
                    self._serve_channel(key.data)
                except BlockingIOError:
                    continue
                except OSError:  # also EPIPE: the client has ended
                    self._close_channel(key.data)
        self._selector.close()

    def _serve_channel(self, channel: socket.socket) -> None:
        response = self._unsent.get(channel) or self._serve_request(channel)
        if response is None:
            self._close_channel(channel)
            return
        try:
            channel.send(response)
        except BlockingIOError:
            self._unsent[channel] = response
            self._selector.modify(channel, selectors.EVENT_WRITE, channel)
            return
        if self._unsent.pop(channel, None) is not None:
            self._selector.modify(channel, selectors.EVENT_READ, channel)

    def _close_channel(self, channel: socket.socket) -> None:
        self._unsent.pop(channel, None)
        self._selector.unregister(channel)
        channel.close()

    def _serve_request(self, channel: socket.socket) -> bytes | None:
        """Read and serve one request; return the response, None at the end of the channel."""
        raw, descriptors, _, _ = socket.recv_fds(channel, REQUEST_SIZE + 1, 1)
        try:
            if not raw:
                return None
            return self._handle_request(raw, descriptors[0] if descriptors else None).encode()
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _handle_request(self, raw: bytes, descriptor: int | None) -> Response:
        try:
            request = Request.decode(raw)
        except ValueError:
            return Response(0, errno.EINVAL)
        try:
            if descriptor is None or request.addresses.local not in self._vips:
                raise NotPermitted("no connection to the VIP came with the request")
            with socket.socket(fileno=os.dup(descriptor)) as connection:
                _forbid_linger(connection)
                return Response(request.sequence, 0, self._run_operation(request, connection))
        except NotPermitted:
            return Response(request.sequence, errno.EPERM)
        except MissingSubflow:
            return Response(request.sequence, errno.ENOENT)
        except OSError as error:
            return Response(request.sequence, error.errno or errno.EIO)

    def _run_operation(self, request: Request, connection: socket.socket) -> SubflowState:
        """Run the operation on `connection` alone. Raises NotPermitted, MissingSubflow, OSError."""
        info = connection_info(connection)
        addresses = request.addresses
        subflows = [subflow.addresses for subflow in info.subflows]
        if not any(subflow.local in self._vips for subflow in subflows):
            raise NotPermitted("the socket is no MPTCP connection to the VIP")
        if request.operation == Operation.ANNOUNCE:
            self._netlink.announce(info.token, addresses.local, addresses.local_port, address_id=_ADDRESS_ID)
            return NO_STATE
        if addresses not in subflows:
            raise MissingSubflow(f"the connection has no subflow {addresses}")
        match request.operation:
            case Operation.SET_BACKUP:
                self._netlink.set_backup(info.token, addresses, request.backup)
                return NO_STATE
            case Operation.INSPECT:
                return self._diag.inspect(addresses)
        raise OSError(errno.EINVAL, "unknown operation")


def _forbid_linger(connection: socket.socket) -> None:
    """Turn SO_LINGER off where it is on: the close of the last descriptor would block this process.

    The edge never turns it on. Setting it needlessly makes the kernel copy the options, and a mark of 0, to subflows.
    """
    linger = connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_NO_LINGER))
    if linger[:4] != _NO_LINGER[:4]:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
