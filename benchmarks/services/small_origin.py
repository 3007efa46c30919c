"""`python -m benchmarks.services.small_origin PORT`: an origin that answers every request with its port."""

import asyncio
import contextlib
import sys

SECONDS = 0.02  # of each response, so that requests are under way whenever it is killed


async def serve_origin(port: int) -> None:
    """Serve until killed; requests have no body."""
    body = str(port).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(SECONDS)
                writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve_connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve_origin(int(sys.argv[1])))
