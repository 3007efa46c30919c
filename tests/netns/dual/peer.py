"""An edge at a v4 and a v6 VIP with their locators, or a client, as a program in its own namespace."""

import asyncio
import hashlib
import json
import socket
import sys
from functools import partial
from typing import Any, cast

from loopback import Source, digest_of

from edge.config.settings import EdgeSettings
from edge.ingress.listener import Listener
from node.state.identity import NodeIdentity
from node.vip import Locator, Vip
from smkex.client import connect, establish
from smkex.client.options import ConnectOptions
from smkex.core.errors import SmkexError
from smkex.core.handshake.config import ServerConfig
from smkex.core.wire.messages import LocatorKind
from smkex.http.server.http_server import HttpServer
from smkex.server.acceptor import Acceptor
from smkex.server.handshake.tcp import TcpHandshakes
from smkex.server.identity import Identity
from smkex.transport.tcp.happy_eyeballs import connect_first_reachable

EDGE_ID = 0x107  # does not fit into the low bits of an IPv4 address
# the edge itself serves these, with mixed locators
NODE = NodeIdentity(EDGE_ID, "edge", Vip("main", "203.0.113.1", "2001:db8:60::", 443, locator=Locator.MIXED))
# and these stand for one that has address locators
LISTENERS = (
    ("2001:db8:5e::", 443, LocatorKind.ADDRESS),
    ("2001:db8:5e::107", 443, LocatorKind.ADDRESS),
)


class Sources:
    def create_protocol(self) -> asyncio.Protocol:
        return Source()


async def serve() -> None:
    """Prints where each subflow was accepted that goes to LISTENERS."""
    settings = EdgeSettings(_cli_parse_args=[])  # type: ignore[call-arg]
    edge = Listener(
        NODE,
        Identity(EDGE_ID, None, locator_v6=LocatorKind.ADDRESS),
        settings,
        cast(HttpServer, Sources()),
        None,
    )
    await edge.start()

    def handshakes(kind: LocatorKind) -> TcpHandshakes:
        config = ServerConfig(edge_id=EDGE_ID, locator=kind)
        return TcpHandshakes(
            lambda: config, lambda session: session.start(Source()), limit=16, timeout=5, require_both=False
        )

    def listener(accepting: TcpHandshakes) -> Any:
        def accepted(connection: socket.socket, peer: Any) -> None:
            host, port = connection.getsockname()[:2]
            print(f"accepted {host} {port}", flush=True)
            accepting.accept(connection, peer)

        return accepted

    by_kind = {kind: handshakes(kind) for kind in LocatorKind}
    for address, port, kind in LISTENERS:
        Acceptor(socket.create_server((address, port), family=socket.AF_INET6), listener(by_kind[kind]))
    print("ready", flush=True)
    await asyncio.Event().wait()


async def ask(options: dict[str, Any]) -> None:
    """Connect, download, leave the service port, download again; print how it went."""
    size = 3_000_000
    host, rehome = options.pop("host"), options.pop("rehome", False)
    if "head_start" in options:
        establish.first_reached = partial(connect_first_reachable, delay=options.pop("head_start"))
    try:
        connection = await connect(host, options=ConnectOptions(known_hosts=None, **options))
    except (SmkexError, OSError) as error:
        print(json.dumps({"error": type(error).__name__, "text": str(error)}))
        return
    right = []
    for _ in range(2):
        connection.writer.write(b"%08d" % size)
        digest = hashlib.sha256(await connection.reader.readexactly(size)).hexdigest()
        right.append(digest == digest_of(size))
        if rehome:
            await connection.rehome()
    report = connection.report().as_dict()
    await connection.close()
    print(json.dumps({"right": right, "report": report}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["edge"]:
            asyncio.run(serve())
        case ["ask", options]:
            asyncio.run(ask(json.loads(options)))
