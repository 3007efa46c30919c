"""The edge whose memory benchmarks/edge/memory.py measures: a process of its own, driven by lines on stdin.

`python -m benchmarks.edge.measured_edge [CERTIFICATE KEY]` prints its service port and its locator's. Each input line
asks for one line of JSON: resident bytes, processor seconds, handshakes in progress, sessions, failures.
"""

import asyncio
import gc
import json
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

import smkex.core.session.path_set
from smkex.core.handshake.config import ServerConfig
from smkex.core.handshake.tls import server_context
from smkex.http.server.http1 import RequestLimits
from smkex.http.server.http_server import HttpServer
from smkex.server.acceptor import Acceptor
from smkex.server.handshake.tcp import TcpHandshakes
from smkex.transport.driver import SessionDriver
from smkex.transport.event_loop import run_in_reactor

LIMIT = 20_000
TIMEOUT = 1800.0  # seconds: longer than the measurement


# the client of the measurement answers no pings, and asks for nothing: its sessions are kept all the same
vars(smkex.core.session.path_set)["SILENCE_LIMIT"] = TIMEOUT


async def nothing_found(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class MeasuredEdge:
    def __init__(self, config: ServerConfig) -> None:
        self._http = HttpServer(nothing_found, limits=RequestLimits(idle=TIMEOUT))
        self.sessions: set[SessionDriver] = set()
        self.handshakes = TcpHandshakes(
            lambda: config,
            self._serve,
            limit=LIMIT,
            tls_limit=LIMIT,
            timeout=TIMEOUT,
            require_both=False,
        )

    async def listen(self) -> list[int]:
        await self._http.start()
        listening = [socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(2)]
        self._acceptors = [Acceptor(each, self.handshakes.accept) for each in listening]
        return [each.getsockname()[1] for each in listening]

    def _serve(self, session: SessionDriver) -> None:
        self.sessions.add(session)
        session.on_closed = lambda: self.sessions.discard(session)
        session.start(self._http.create_protocol())

    def state(self) -> dict[str, Any]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {
            "resident": pages * resource.getpagesize(),
            "subflows": self.handshakes.subflows,
            "sessions": sum(len(session.paths) == 2 for session in self.sessions),
            "cpu": time.process_time(),
            "failures": dict(self.handshakes.failures),
        }


async def main(files: list[str]) -> None:
    tls = server_context(Path(files[0]), Path(files[1])) if files else None
    edge = MeasuredEdge(ServerConfig(1, tls=tls))
    print(json.dumps(await edge.listen()), flush=True)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        print(json.dumps(edge.state()), flush=True)


if __name__ == "__main__":
    run_in_reactor(main(sys.argv[1:]))
