"""Drive the client's handshake over a transport: what goes where, in which order, until when."""

import asyncio
import logging
import os
from typing import Protocol

from smkex.core.client_handshake import ClientHandshake, State
from smkex.core.config import ClientConfig, ClientEntropy
from smkex.core.errors import Cancelled, DeadlineMissed, SmkexError
from smkex.core.frame import FrameType
from smkex.transport.narration import Narration
from smkex.transport.session import SessionTransport

log = logging.getLogger(__name__)


class ClientTransport(Protocol):
    """What a transport offers a client's handshake; paths are 0 and 1."""

    async def open_first(self) -> None: ...
    async def open_second(self, edge_id: int) -> None: ...
    async def send(self, path: int, frame: bytes) -> None: ...
    async def receive(self, expected: int) -> tuple[int, FrameType, bytes]: ...
    def abort(self, error: SmkexError) -> None: ...
    async def establish(self, handshake: ClientHandshake) -> SessionTransport: ...


def fresh_entropy() -> ClientEntropy:
    return ClientEntropy(os.urandom(16), os.urandom(32), os.urandom(32))


async def exchange_keys(transport: ClientTransport, config: ClientConfig, timeout: float) -> SessionTransport:
    """Run one handshake within `timeout` seconds.

    Raises a subclass of `SmkexError` (each cause its own), or OSError where path 0 cannot be connected. The
    other end is told by Abort on every subflow.
    """
    handshake = ClientHandshake(config, fresh_entropy())
    try:
        async with asyncio.timeout(timeout):
            return await _exchange(transport, handshake)
    except TimeoutError:
        transport.abort(DeadlineMissed())
        raise DeadlineMissed(
            f"the handshake was not done in {timeout:g} s ({_waiting_for(handshake)})"
        ) from None
    except SmkexError as error:
        transport.abort(error)
        raise
    except BaseException:
        transport.abort(Cancelled())
        raise
    finally:
        handshake.drop()


async def _exchange(transport: ClientTransport, handshake: ClientHandshake) -> SessionTransport:
    await transport.open_first()
    await _send(transport, 0, handshake.client_share)
    await _receive(transport, handshake, 0)
    await transport.open_second(handshake.edge_id)
    await _send(transport, 1, handshake.client_nonce)
    await _receive(transport, handshake, 1)
    for path in (0, 1):
        await _send(transport, path, handshake.finished(path))
    return await transport.establish(handshake)


async def _send(transport: ClientTransport, path: int, frame: bytes) -> None:
    log.debug("%s", Narration(path, "->", frame))
    await transport.send(path, frame)


async def _receive(transport: ClientTransport, handshake: ClientHandshake, expected: int) -> None:
    path, kind, frame = await transport.receive(expected)
    log.debug("%s", Narration(path, "<-", frame))
    handshake.receive(path, kind, frame)


def _waiting_for(handshake: ClientHandshake) -> str:
    match handshake.state:
        case State.AWAIT_SERVER_SHARE:
            return "no ServerShare on path 0"
        case State.AWAIT_SERVER_NONCE:
            return "no ServerNonce on path 1"
        case _:
            return "it ended late"
