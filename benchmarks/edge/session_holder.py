"""Open sessions with an edge of `measured_edge` and hold them, in a process with descriptors of its own.

`python -m benchmarks.edge.session_holder SERVICE-PORT LOCATOR-PORT`: each line of stdin is a number of sessions to open
besides those that are there; it prints the number of all once they are.
"""

import socket
import sys

from benchmarks.edge.memory import open_session, raise_descriptor_limit

if __name__ == "__main__":
    raise_descriptor_limit()
    ports = [int(word) for word in sys.argv[1:]]
    held: list[socket.socket] = []
    for line in sys.stdin:
        for _ in range(int(line)):
            open_session(ports, held)
        print(len(held) // 2, flush=True)
