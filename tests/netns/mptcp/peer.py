"""One end of a pinned connection, as a program that follows a script and prints one JSON line about how it went.

Steps: ["client" | "server", path, size] is a message; ["join", port]; ["extra", port] an unexpected subflow;
["destroy", path]; ["mark", path] a mark of the server, which has none to set, and the client waits for it;
["misroute", path, size] a client's message that is sent by steering the wrong way round.
"""

import asyncio
import json
import os
import socket
import sys
import time
from typing import Any

from runtime.capabilities import NET_ADMIN, drop_capabilities
from smkex.server.handshake.path_manager.client import PathManagerClient
from smkex.server.handshake.path_manager.start import start_path_manager
from smkex.transport.mptcp.connect import ClientConnection, connect_mptcp
from smkex.transport.mptcp.info import FourTuple
from smkex.transport.mptcp.listen import match_joins_at, mptcp_listener
from smkex.transport.mptcp.pinned_connection import MptcpError, PinnedConnection
from smkex.transport.mptcp.subflow_diag import SubflowState

VIP, PORT, LOCATOR = "203.0.113.1", 443, 10001


def payload(number: int, size: int) -> bytes:
    return bytes((number + i) % 251 for i in range(size))


class Backwards:
    """Steering that marks the wrong subflow and says that all is well."""

    def __init__(self, real: Any, paths: tuple[FourTuple, ...]) -> None:
        self.real = real
        self.paths = paths

    async def set_backup(self, token: int, addresses: FourTuple, backup: bool) -> None:
        other = next(path for path in self.paths if path != addresses)
        await self.real.set_backup(token, other, backup)

    async def inspect(self, addresses: FourTuple) -> SubflowState:
        return SubflowState(False, False, True, 0)


async def follow(role: str, connection: PinnedConnection, steps: list[list[Any]]) -> None:
    for number, step in enumerate(steps):
        following = steps[number + 1 :][:1]
        if following and following[0][0] == "join" and not isinstance(connection, ClientConnection):
            # before the message that makes the client join: it may be quicker than our next look
            connection.expect_join(match_joins_at(VIP, LOCATOR))
        match step:
            case ["join", port]:
                if isinstance(connection, ClientConnection):
                    await connection.join(VIP, port)
            case ["extra", port] if isinstance(connection, ClientConnection):
                wifi = socket.if_nametoindex("wifi0")
                connection._direct.netlink.create_subflow(
                    connection.token, "10.2.0.2", VIP, port, address_id=1, interface=wifi
                )
            case ["destroy", path] if isinstance(connection, ClientConnection):
                connection._direct.netlink.destroy_subflow(connection.token, connection.paths[path])
            case ["mark", path] if role == "server":
                await connection._steering.set_backup(connection.token, connection.paths[path], True)
            case ["mark", path]:
                while not (await connection._steering.inspect(connection.paths[path])).backup_at_peer:
                    await asyncio.sleep(0.002)
            case ["misroute", path, size] if role == "client":
                connection._steering = Backwards(connection._steering, connection.paths)
                await connection.send(path, payload(number, size))
            case [("client" | "server" | "misroute") as sender, path, size]:
                if sender == role:
                    await connection.send(path, payload(number, size))
                else:
                    following = steps[number + 1] if number + 1 < len(steps) else [None]
                    then = following[1] if following[0] == sender else None
                    got = await connection.receive_exactly(path, size, then=then)
                    if then is None:
                        connection.verify()
                    assert got == payload(number, size)


async def client(script: dict[str, Any]) -> dict[str, Any]:
    started = time.perf_counter()
    connection = await connect_mptcp(VIP, PORT, ["cell0", "wifi0"], timeout=script.get("timeout", 5))
    connected = time.perf_counter()
    try:
        await follow("client", connection, script["steps"])
        done = time.perf_counter()
        report = described(connection)
        report["announced"] = [(a.address, a.port) for a in connection.announcements]
        report["connect_ms"], report["steps_ms"] = (connected - started) * 1000, (done - connected) * 1000
        if size := script.get("stream"):
            sock = await connection.release()
            before = report["sent"]
            after = await stream(connection, sock, sending=size)
            report["streamed"] = [now - then for now, then in zip(after, before, strict=True)]
        return report
    finally:
        if script.get("crash"):
            os._exit(0)
        connection.close()


async def server(script: dict[str, Any]) -> dict[str, Any]:
    _, (channel,) = start_path_manager([VIP])
    drop_capabilities(NET_ADMIN)
    manager = PathManagerClient(channel)
    protocol_only = script.get("plain_server", False)
    listener = plain_listener() if protocol_only else mptcp_listener(VIP, PORT)
    locator = mptcp_listener(VIP, LOCATOR)
    print("ready", flush=True)
    sock, _ = await asyncio.get_running_loop().sock_accept(listener)
    sock.setblocking(False)
    try:
        steering = manager.connection_steering(sock)
        connection = PinnedConnection(sock, steering, timeout=script.get("timeout", 5))
        await steering.announce(VIP, LOCATOR)
        await follow("server", connection, script["steps"])
        report = described(connection)
        report["marks"] = [(await steering.inspect(path)).mark for path in connection.paths]
        if size := script.get("stream"):
            await stream(connection, await connection.release(), receiving=size)
        return report
    finally:
        sock.close()
        locator.close()
        manager.close()


def plain_listener() -> socket.socket:
    listener = socket.create_server((VIP, PORT))
    listener.setblocking(False)
    return listener


async def stream(
    connection: PinnedConnection, sock: Any, *, sending: int = 0, receiving: int = 0
) -> list[int]:
    """Stream after the pinned messages; return the bytes sent so far, by path."""
    reader, writer = await asyncio.open_connection(sock=sock)
    if sending:
        writer.write(b"x" * sending)
        await writer.drain()
        assert await reader.readexactly(4) == b"done"
        return [subflow.bytes_sent for subflow in connection.subflows]
    await reader.readexactly(receiving)
    writer.write(b"done")
    await writer.drain()
    assert await reader.read() == b""
    return []


def described(connection: PinnedConnection) -> dict[str, Any]:
    subflows = connection.subflows
    return {
        "error": None,
        "local": [s.addresses.local for s in subflows],
        "remote_port": [s.addresses.remote_port for s in subflows],
        "sent": [s.bytes_sent for s in subflows],
        "received": [s.bytes_received for s in subflows],
    }


def main() -> None:
    role, script = sys.argv[1], json.loads(sys.argv[2])
    try:
        report = asyncio.run((client if role == "client" else server)(script))
    except MptcpError as error:
        report = {"error": type(error).__name__, "message": str(error), "hint": error.hint}
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
