"""A download of /N that outlives its ingress edge and then its first path; says how far it is, and waits for a line."""

import asyncio
import json
import sys

from smkex.client import ConnectOptions, connect

PART, TIMEOUT = 2 << 20, 120  # bytes, seconds


async def main() -> None:
    connection = await connect(
        "203.0.113.1", options=ConnectOptions(paths=["cell0", "wifi0"], known_hosts=None)
    )
    connection.writer.write(b"GET /%d HTTP/1.1\r\nhost: cdn\r\nconnection: close\r\n\r\n" % int(sys.argv[1]))
    head = await connection.reader.readuntil(b"\r\n\r\n")
    body = bytearray(await connection.reader.readexactly(PART))
    await say("running")  # now the ingress edge of path 1 dies
    body += await connection.reader.readexactly(PART)
    await connection.add_path("lte0")
    await say("joined")  # now path 0 dies
    body += await connection.reader.read()
    paths = [[path.interface, path.ingress_id] for path in connection.report().paths]
    print(json.dumps({"status": head.split()[1].decode(), "bytes": len(body), "paths": paths}), flush=True)
    await connection.close()


async def say(what: str) -> None:
    print(what, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


asyncio.run(asyncio.wait_for(main(), TIMEOUT))
