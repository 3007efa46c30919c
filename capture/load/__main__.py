"""Load for `load_programs`: the channel's descriptor is the argument."""

import socket
import sys

from capture.load.programs import CaptureUnavailable, compile_and_load
from runtime.bpf.headers import HeadersMissing


def main(channel: socket.socket) -> int:
    """Load, and send the descriptors of maps and programs, or the reason why not."""
    try:
        descriptors, owner = compile_and_load()
    except (CaptureUnavailable, HeadersMissing) as error:
        channel.send(str(error).encode()[:4096])
        return 1
    socket.send_fds(channel, [b"loaded"], descriptors)
    del owner
    return 0


sys.exit(main(socket.socket(fileno=int(sys.argv[1]))))
