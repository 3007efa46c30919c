"""An edge that sends what is asked for, or a client, as a program in its own namespace."""

import asyncio
import hashlib
import json
import logging
import sys
from pathlib import Path
from typing import Any, cast

from loopback import Source, digest_of

from edge.config.settings import EdgeSettings
from edge.ingress.listener import Listener
from node.state.identity import NodeIdentity
from node.vip import Vip
from smkex.client import connect, paths
from smkex.client.options import ConnectOptions
from smkex.core.errors import SmkexError
from smkex.http.server.http_server import HttpServer
from smkex.server.identity import Identity

VIP = "203.0.113.1"


class Sources:
    def create_protocol(self) -> asyncio.Protocol:
        return Source()


async def serve(keys: str) -> None:
    settings = EdgeSettings(fast_open_keys=Path(keys), _cli_parse_args=[])  # type: ignore[call-arg]
    node = NodeIdentity(1, "edge1", Vip("main", VIP, None, 443))
    listener = Listener(node, Identity(1, None), settings, cast(HttpServer, Sources()), None)
    await listener.start()
    await asyncio.sleep(0)  # lets the keys be read once
    print("ready", flush=True)
    await asyncio.Event().wait()


async def ask(times: int, port_base: int) -> None:
    outcomes: list[Any] = []
    for _ in range(times):
        try:
            connection = await connect(
                VIP,
                options=ConnectOptions(
                    paths=["cell0", "wifi0"], id_port_base=port_base, known_hosts=None, timeout=5
                ),
            )
        except SmkexError as error:
            outcomes.append(type(error).__name__)
            continue
        connection.writer.write(b"%08d" % 1000)
        outcomes.append(len(await connection.reader.readexactly(1000)))
        await connection.close()
    print(json.dumps(outcomes))


async def download(size: int) -> None:
    """Print "started" on the way and wait for a line, then print how it went.

    `gap` is the longest pause between two reads in seconds.
    """
    connection = await connect(VIP, options=ConnectOptions(paths=["cell0", "wifi0"], known_hosts=None))
    loop = asyncio.get_running_loop()
    digest, left, gap, last, started = hashlib.sha256(), size, 0.0, loop.time(), False
    connection.writer.write(b"%08d" % size)
    while left:
        data = await connection.reader.read(1 << 20)
        gap, last = max(gap, loop.time() - last), loop.time()
        digest.update(data)
        left -= len(data)
        if not started and left < size * 9 // 10:
            started = True
            print("started", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            last = loop.time()
    states = [path.state for path in connection.report().paths]
    print(json.dumps({"right": digest.hexdigest() == digest_of(size), "gap": gap, "states": states}))


async def hold() -> None:
    """Keep a session, and print the states of its paths, and attempts at wifi0, for every line that comes in."""
    paths.MAX_REJOINS = 2  # and then no more, unless the network changes
    connection = await connect(VIP, options=ConnectOptions(paths=["cell0", "wifi0"], known_hosts=None))
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        connection.writer.write(b"%08d" % 1000)
        await connection.reader.readexactly(1000)
        states = [(path.interface, path.state) for path in connection.report().paths]
        assert connection.keeper is not None
        states.append(("attempts", str(connection.keeper._attempts["wifi0"])))
        print(json.dumps(states), flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    match sys.argv[1:]:
        case ["edge", keys]:
            asyncio.run(serve(keys))
        case ["ask", times, base]:
            asyncio.run(ask(int(times), int(base)))
        case ["hold"]:
            asyncio.run(hold())
        case ["download", size]:
            asyncio.run(download(int(size)))
