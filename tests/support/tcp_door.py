"""A TCP port on the lab's origin that leads to a database's unix socket, whose users are trusted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from postgresql import Cluster

from lab.namespace.running import NamespaceLab

DOOR = """
import asyncio, sys
async def copy(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
async def serve(reader, writer):
    inner, outer = await asyncio.open_unix_connection(sys.argv[1])
    await asyncio.gather(copy(reader, outer), copy(inner, writer), return_exceptions=True)
    writer.close()
    outer.close()
async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", 5432) as server:
        print("ready", flush=True)
        await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def door(lab: NamespaceLab, database: Cluster) -> Iterator[None]:
    """Keep it open until the end of the block."""
    command = lab.command("origin", "python", "-c", DOOR, str(database.folder / ".s.PGSQL.5432"))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.terminate()
