"""Load for `load_programs`: the group's and the channel's descriptors are the arguments."""

import socket
import sys

from capture.load.programs import CaptureUnavailable, load_and_attach
from runtime.bpf.headers import HeadersMissing


def main(group: int, channel: socket.socket) -> int:
    """Attach, and send the maps, or the reason why not."""
    try:
        descriptors, owner = load_and_attach(group)
    except (CaptureUnavailable, HeadersMissing) as error:
        channel.send(str(error).encode()[:4096])
        return 1
    socket.send_fds(channel, [b"loaded"], descriptors)
    del owner
    return 0


sys.exit(main(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))))
