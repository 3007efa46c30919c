"""The attacker's process on a carrier: `python -m lab.attack.attacker STRATEGY ...`, started by `lab.attack.cells`.

Every connection that is intercepted is ended here and opened again towards its destination, under the same addresses.
Frames of the handshake pass the strategy; what follows is passed on as it is. What it did goes to standard error.
"""

import argparse
import asyncio
import contextlib
import errno
import socket
import sys
from pathlib import Path

from lab.attack.impersonation import Impersonator, forged_identity
from lab.attack.interception import PORT
from lab.attack.strategies import STRATEGIES, Strategy, invent_nonce
from lab.attack.talk import AttackerChannel
from lab.attack.tls_path import AttackerIdentity, Cutter, relay_server_info
from smkex.core.errors import SmkexError
from smkex.core.handshake.tls import FIRST_BYTE
from smkex.core.wire.frame import FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.locator import port_locator
from smkex.core.wire.messages import ServerShare
from smkex.transport.frame_channel import FrameChannel

IP_TRANSPARENT = 19
PATIENCE = 5.0  # seconds for the other end to take a connection
CHUNK = 1 << 16
ACTED = "a record CHANGED"  # said by who attacks the running session
# said where TIME_WAIT, a minute long, keeps the address and port of an earlier connection
ABSENT = "TOOK NO PART"
ALERTS = (20, 21, 23)  # first bytes of TLS records that are not the handshake's


def log_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def failure_reason(error: Exception) -> str:
    """Why a connection ended, for the log that the arena reads."""
    return ABSENT if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL else str(error)


def transparent_listener() -> socket.socket:
    """A transparent listener: accepted sockets have the address that the phone dialled."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
    sock.bind(("0.0.0.0", PORT))
    sock.listen(64)
    sock.setblocking(False)
    return sock


async def dial(client: tuple[str, int], target: tuple[str, int]) -> socket.socket:
    """Connect to `target` under the client's address."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
    sock.setblocking(False)
    sock.bind(client)
    async with asyncio.timeout(PATIENCE):
        await asyncio.get_running_loop().sock_connect(sock, target)
    return sock


class AttackerRelay:
    """One intercepted connection. What begins with TLS passes as it is, or, with `cut`, in smaller records."""

    def __init__(self, strategy: Strategy, phone: socket.socket, edge: socket.socket, *, cut: bool) -> None:
        self._strategy = strategy
        self._phone, self._edge = phone, edge
        self._cut = cut

    async def run(self) -> None:
        await asyncio.gather(
            self._carry(self._phone, self._edge, "to edge"), self._carry(self._edge, self._phone, "to phone")
        )

    async def _carry(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        loop = asyncio.get_running_loop()
        change = self._strategy.to_edge if way == "to edge" else self._strategy.to_client
        cutter: Cutter | None = None
        reader: FrameReader | None = FrameReader(handshake_only=False)
        try:
            while data := await loop.sock_recv(source, CHUNK):
                if data[0] in (FIRST_BYTE, *ALERTS) and reader is not None and not reader.pending:
                    reader, cutter = None, Cutter() if self._cut else None
                if reader is None:
                    await loop.sock_sendall(sink, cutter.change(data) if cutter else data)
                    continue
                reader.feed(data)
                for kind, frame in reader.frames():
                    if kind >= FrameType.DATA:
                        if way == "to phone":
                            passed = await self._strategy.data_to_client(frame)
                            if passed != frame or self._strategy.acted:
                                log_line(ACTED)
                            frame = passed
                        await loop.sock_sendall(sink, frame)
                        continue
                    changed = await change(kind, frame)
                    log_line(f"{way}: {kind.name}{'' if changed == frame else ' CHANGED'}")
                    await loop.sock_sendall(sink, changed)
        except (OSError, SmkexError) as error:
            log_line(f"{way}: {failure_reason(error)}")
        finally:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)


async def send_nonce(locator: tuple[str, int], own: tuple[str, int], nonce: bytes) -> socket.socket:
    """Open a connection of the attacker's own to the locator, send a ClientNonce, wait for the answer."""
    sock = await dial(own, locator)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, nonce)
    answer = await loop.sock_recv(sock, CHUNK)
    log_line(f"raced: {FrameType(answer[0]).name if answer else 'nothing'}")
    return sock


class Racer(Strategy):
    """Holds the client's nonce back until copies of it have been answered on connections of its own."""

    def __init__(self, talk: AttackerChannel | None) -> None:
        super().__init__(talk)
        self.client = self.target = ("", 0)
        self._kept: list[socket.socket] = []

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.CLIENT_NONCE:
            for offset in (1, 2, 3):
                own = (self.client[0], (self.client[1] + offset) % 65536 or 1)
                self._kept.append(await send_nonce(self.target, own, frame))
        return frame


class Observer(Racer):
    """Reads path 0, and has sent four nonces of its own to the locator before the client knows it."""

    _share = b""

    async def to_edge(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.CLIENT_SHARE:
            self._share = frame
        return frame

    async def to_client(self, kind: FrameType, frame: bytes) -> bytes:
        if kind is FrameType.SERVER_SHARE:
            locator = self.target[0], port_locator(ServerShare.parse(frame).edge_id)
            for offset in (1, 2, 3, 4):
                own = (self.client[0], (self.client[1] + offset) % 65536 or 1)
                self._kept.append(await send_nonce(locator, own, invent_nonce(self._share)))
        return frame


RACERS = {"race": Racer, "observe": Observer}


async def _serve(options: argparse.Namespace) -> None:
    talk: AttackerChannel | None = None
    impersonator: Impersonator | None = None
    if options.strategy == "impersonate":
        identity = forged_identity(options.edge_id, options.certificate)
        tls = _tls_identity(options) if options.tls_certificate else None
        impersonator = Impersonator(options.path, options.talk, identity, tls)
        await impersonator.start()
    elif options.talk is not None:
        talk = AttackerChannel()
        await (talk.listen(options.talk) if options.path == 0 else talk.connect(options.talk))
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    listener = transparent_listener()
    log_line("ready")
    while True:
        phone, client = await loop.sock_accept(listener)
        phone.setblocking(False)
        target = phone.getsockname()
        work = (
            impersonator.take(phone)
            if impersonator
            else _relay_connection(options, talk, phone, client, target)
        )
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _relay_connection(
    options: argparse.Namespace,
    talk: AttackerChannel | None,
    phone: socket.socket,
    client: tuple[str, int],
    target: tuple[str, int],
) -> None:
    try:
        edge = await dial(client, target)
    except (OSError, TimeoutError) as error:
        log_line(f"to {target}: {failure_reason(error)}")
        phone.close()
        return
    if options.strategy == "tls-mitm":
        await _attack_between(options, phone, edge)
        return
    name = "pass" if options.strategy == "cut-records" else options.strategy
    strategy = {**STRATEGIES, **RACERS}[name](talk)
    if isinstance(strategy, Racer):
        strategy.client, strategy.target = client, target
    try:
        await AttackerRelay(strategy, phone, edge, cut=options.strategy == "cut-records").run()
    finally:
        phone.close()
        edge.close()


def _tls_identity(options: argparse.Namespace) -> AttackerIdentity:
    return AttackerIdentity(options.tls_certificate, options.tls_key, options.genuine_authority, options.host)


async def _attack_between(options: argparse.Namespace, phone: socket.socket, edge: socket.socket) -> None:
    subflows = FrameChannel.from_socket(phone), FrameChannel.from_socket(edge)
    try:
        await relay_server_info(*subflows, _tls_identity(options))
    except SmkexError as error:
        log_line(f"in the middle of TLS: {error}")
    finally:
        for subflow in subflows:
            subflow.flow.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.attack.attacker")
    parser.add_argument("strategy", choices=[*STRATEGIES, *RACERS, "impersonate", "tls-mitm", "cut-records"])
    parser.add_argument("--path", type=int, required=True)
    parser.add_argument("--talk", type=Path)
    parser.add_argument("--edge-id", type=int, default=1)
    parser.add_argument("--tls-certificate", type=Path, help="that some authority gave the attacker")
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--genuine-authority", type=Path)
    parser.add_argument("--host", default="")
    parser.add_argument("--certificate", type=Path, help="show this one, without having its key")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
