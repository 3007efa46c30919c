"""A server of sessions behind the relay, and a client on the host with one interface.

session_ends.py serve ADDRESS...            at port 443 and, for second subflows, 10001
session_ends.py fetch HOST SIZE PATH... [RESOLVER]   JSON: what arrived, and the path report; RESOLVER is path 0's
"""

import asyncio
import hashlib
import json
import sys
from contextlib import AsyncExitStack

import smkex

PORT, LOCATORS = 443, 10000
BLOCK = bytes(range(256)) * 256


async def send_what_is_asked_for(connection: smkex.AcceptedConnection) -> None:
    left = int(await connection.reader.readline())
    while left:
        part = BLOCK[:left]
        left -= len(part)
        connection.writer.write(part)
        await connection.writer.drain()
    connection.writer.write_eof()
    await connection.reader.read()


async def serve(*addresses: str) -> None:
    options = smkex.ServerOptions(id_port_base=LOCATORS, require_both=True)
    async with AsyncExitStack() as stack:
        for address in addresses:
            server = await smkex.start_server(send_what_is_asked_for, address, PORT, options=options)
            await stack.enter_async_context(server)
        print("ready", flush=True)
        await asyncio.Event().wait()


async def fetch(host: str, size: str, first: str, second: str, resolver: str = "") -> None:
    options = smkex.ConnectOptions(
        paths=[first, second],
        id_port_base=LOCATORS,
        resolvers={first: resolver} if resolver else None,
        known_hosts=None,
        timeout=20,
    )
    connection = await smkex.connect(host, port=PORT, options=options)
    connection.writer.write(f"{size}\n".encode())
    data = await connection.reader.read()
    report = connection.report()
    await connection.close()
    paths = [[path.interface, path.address, path.relay] for path in report.paths]
    digest = hashlib.sha256(data).hexdigest()
    print(json.dumps({"size": len(data), "digest": digest, "vip": report.vip, "paths": paths}))


if __name__ == "__main__":
    asyncio.run({"serve": serve, "fetch": fetch}[sys.argv[1]](*sys.argv[2:]))
