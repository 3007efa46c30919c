"""Run the client's handshake over a transport: which message on which path, in which order, by when."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from smkex.core.errors import Cancelled, DeadlineMissed, SmkexError, UnexpectedMessage
from smkex.core.handshake.client import ClientHandshake, ClientState
from smkex.core.handshake.config import ENTROPY_LENGTH, ClientConfig, ClientEntropy
from smkex.core.wire.frame import FrameType
from smkex.core.wire.messages import NONCE_LENGTH, LocatorKind
from smkex.transport.driver import SessionDriver
from smkex.transport.narration import FrameDescription

if TYPE_CHECKING:
    from OpenSSL import SSL

log = logging.getLogger(__name__)


class ClientTransport(Protocol):
    """What a transport offers a client's handshake; paths are 0 and 1."""

    @property
    def finished_order(self) -> tuple[int, int]: ...

    async def open_first(self) -> None: ...
    async def open_second(self, edge_id: int, locator: LocatorKind) -> None: ...
    async def send(self, path: int, frame: bytes) -> None: ...
    async def receive(self, expected: int) -> tuple[int, FrameType, bytes]: ...
    def abort(self, error: SmkexError) -> None: ...
    async def establish(self, handshake: ClientHandshake) -> SessionDriver: ...


def fresh_entropy() -> ClientEntropy:
    return ClientEntropy.from_bytes(os.urandom(ENTROPY_LENGTH))


class TlsTransport(ClientTransport, Protocol):
    """A transport whose path 0 can carry TLS records before frames (mode mtls)."""

    def send_bytes(self, path: int, data: bytes) -> None: ...
    async def receive_tls_record(self, path: int) -> bytes: ...


class LocatorTransport(ClientTransport, Protocol):
    """A transport that can open both paths at an edge's locator before anything is exchanged."""

    async def open_both(self, edge_id: int) -> None: ...


async def exchange_keys(transport: ClientTransport, config: ClientConfig, timeout: float) -> SessionDriver:
    """Run one handshake within `timeout` seconds, its first path to the service port.

    Raises a subclass of `SmkexError` (each cause its own), or OSError where path 0 cannot be connected. The
    peer receives an Abort on every subflow.
    """
    return await _run_bounded(transport, config, timeout, lambda handshake: _exchange(transport, handshake))


async def exchange_keys_at(
    transport: LocatorTransport, config: ClientConfig, timeout: float, edge_id: int
) -> SessionDriver:
    """Run one handshake with both paths at the locator of edge `edge_id` at once. Raises as `exchange_keys`."""
    return await _run_bounded(
        transport, config, timeout, lambda handshake: _exchange_at(transport, handshake, edge_id)
    )


async def _run_bounded(
    transport: ClientTransport,
    config: ClientConfig,
    timeout: float,
    steps: Callable[[ClientHandshake], Awaitable[SessionDriver]],
) -> SessionDriver:
    handshake = ClientHandshake.begin(config, fresh_entropy())
    try:
        async with asyncio.timeout(timeout):
            return await steps(handshake)
    except TimeoutError:
        transport.abort(DeadlineMissed())
        raise DeadlineMissed(
            f"the handshake did not finish within {timeout:g} s ({_waiting_for(handshake)})"
        ) from None
    except SmkexError as error:
        transport.abort(error)
        raise
    except BaseException:
        transport.abort(Cancelled())
        raise
    finally:
        handshake.drop()


async def exchange_keys_over_tls(
    transport: TlsTransport, config: ClientConfig, timeout: float, context: "SSL.Context", host: str
) -> SessionDriver:
    """Run one handshake of mode mtls: TLS 1.3 for `host` on path 0, then nonces on path 1. As `exchange_keys`."""
    from smkex.core.handshake.tls import TlsClient

    async def run() -> SessionDriver:
        await transport.open_first()
        nonce = os.urandom(NONCE_LENGTH)
        tls = TlsClient(context, host, nonce)
        transport.send_bytes(0, tls.to_send())
        while tls.outcome is None:
            tls.receive(await transport.receive_tls_record(0))
            transport.send_bytes(0, tls.to_send())
        log.debug("path 0    TLS 1.3 with %s, ServerInfo of %d bytes", host, len(tls.outcome.info))
        handshake = ClientHandshake.after_tls(config, tls.outcome, nonce)
        try:
            return await _exchange_second_path(transport, handshake)
        finally:
            handshake.drop()

    try:
        async with asyncio.timeout(timeout):
            return await run()
    except TimeoutError:
        transport.abort(DeadlineMissed())
        raise DeadlineMissed(f"the handshake of mode mtls did not finish within {timeout:g} s") from None
    except SmkexError as error:
        transport.abort(error)
        raise
    except BaseException:
        transport.abort(Cancelled())
        raise


async def _exchange(transport: ClientTransport, handshake: ClientHandshake) -> SessionDriver:
    await transport.open_first()
    await _send_frame(transport, 0, handshake.client_share)
    handshake.receive(*await _receive_frame(transport, 0))
    return await _exchange_second_path(transport, handshake)


async def _exchange_second_path(transport: ClientTransport, handshake: ClientHandshake) -> SessionDriver:
    await transport.open_second(handshake.edge_id, handshake.locator)
    await _send_frame(transport, 1, handshake.client_nonce)
    handshake.receive(*await _receive_frame(transport, 1))
    return await _finish_handshake(transport, handshake)


async def _exchange_at(
    transport: LocatorTransport, handshake: ClientHandshake, edge_id: int
) -> SessionDriver:
    await transport.open_both(edge_id)
    await _send_frame(transport, 0, handshake.client_share)
    await _send_frame(transport, 1, handshake.client_nonce)
    # two ways, so the answers come in either order
    answers = [await _receive_frame(transport, 0)]
    if answers[0][0] == 1 and answers[0][1] is not FrameType.ABORT:
        answers.insert(0, await _receive_frame(transport, 0))
    handshake.receive(*answers[0])
    if handshake.edge_id != edge_id:
        raise UnexpectedMessage(f"edge {handshake.edge_id} answers at the locator of edge {edge_id}")
    handshake.receive(*(answers[1] if len(answers) == 2 else await _receive_frame(transport, 1)))
    return await _finish_handshake(transport, handshake)


async def _finish_handshake(transport: ClientTransport, handshake: ClientHandshake) -> SessionDriver:
    for path in transport.finished_order:
        await _send_frame(transport, path, handshake.finished(path))
    return await transport.establish(handshake)


async def _send_frame(transport: ClientTransport, path: int, frame: bytes) -> None:
    log.debug("%s", FrameDescription(path, "->", frame))
    await transport.send(path, frame)


async def _receive_frame(transport: ClientTransport, expected: int) -> tuple[int, FrameType, bytes]:
    path, kind, frame = await transport.receive(expected)
    log.debug("%s", FrameDescription(path, "<-", frame))
    return path, kind, frame


def _waiting_for(handshake: ClientHandshake) -> str:
    match handshake.state:
        case ClientState.AWAIT_SERVER_SHARE:
            return "no ServerShare on path 0"
        case ClientState.AWAIT_SERVER_NONCE:
            return "no ServerNonce on path 1"
        case _:
            return "the last messages were late"
