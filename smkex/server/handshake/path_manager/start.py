"""Start the path manager process."""

import socket
import subprocess
import sys
from collections.abc import Collection

from smkex.server.handshake.path_manager.errors import PathManagerGone
from smkex.server.handshake.path_manager.messages import READY
from smkex.transport.mptcp.errors import NotPermitted

_START_TIMEOUT = 10.0  # seconds


def start_path_manager(
    vips: Collection[str], *, clients: int = 1
) -> tuple["subprocess.Popen[bytes]", list[socket.socket]]:
    """Start the process and wait until it manages the namespace's paths; one channel for each client.

    Call it before giving up CAP_NET_ADMIN. Closing all channels ends the process. Raises NotPermitted,
    MptcpUnsupported, PathManagerGone with its reason.
    """
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(clients)]
    command = [sys.executable, "-m", "smkex.server.handshake.path_manager"]
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
        reply = channels[0].recv(1024)
        if reply != READY:
            kind, _, text = reply.decode().partition(":")
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
