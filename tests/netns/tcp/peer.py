"""An edge that echoes, or a client that connects some times, as a program in its own namespace."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any, cast

from edge.identity import Identity
from edge.listener import Listener
from edge.node import Node, Vip
from edge.serve import HttpServer
from edge.settings import EdgeSettings
from smkex.client import connect
from smkex.core.errors import SmkexError

VIP = "203.0.113.1"


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class EchoServer:
    def protocol(self) -> asyncio.Protocol:
        return Echo()


async def serve(keys: str) -> None:
    settings = EdgeSettings(fast_open_keys=Path(keys), _cli_parse_args=[])  # type: ignore[call-arg]
    node = Node(1, "edge1", Vip(VIP, 443, 10000))
    listener = Listener(node, Identity(1, None), settings, cast(HttpServer, EchoServer()), None)
    await listener.start()
    await asyncio.sleep(0)  # lets the keys be read once
    print("ready", flush=True)
    await asyncio.Event().wait()


async def ask(times: int, port_base: int) -> None:
    outcomes: list[Any] = []
    for _ in range(times):
        try:
            connection = await connect(VIP, paths=["cell0", "wifi0"], id_port_base=port_base, timeout=5)
        except SmkexError as error:
            outcomes.append(type(error).__name__)
            continue
        connection.writer.write(b"hello")
        outcomes.append((await connection.reader.readexactly(5)).decode())
        await connection.close()
    print(json.dumps(outcomes))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    role, *given = sys.argv[1:]
    asyncio.run(serve(given[0]) if role == "edge" else ask(int(given[0]), int(given[1])))
