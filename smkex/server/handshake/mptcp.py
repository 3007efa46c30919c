"""Serve handshakes over transport `mptcp`: one connection, each message pinned to its path and checked."""

import asyncio
import contextlib
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address

from smkex.core.errors import DeadlineMissed, SmkexError, UnexpectedMessage
from smkex.core.handshake.config import ServerConfig
from smkex.core.handshake.server import ServerHandshake
from smkex.core.wire.frame import HEADER_LENGTH, FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import ClientNonce, Endpoint, Observation, Ready, encode_abort, parse_abort
from smkex.server.failures import FailureObserver, ignore_failure, read_server_name
from smkex.server.handshake.observation import SubflowObserver
from smkex.server.handshake.path_manager.client import ConnectionSteering, PathManagerClient
from smkex.transport.driver import SessionDriver
from smkex.transport.flow import Flow
from smkex.transport.mptcp.frames import receive_frame
from smkex.transport.mptcp.listen import match_joins_at
from smkex.transport.mptcp.pinned_connection import PinnedConnection

log = logging.getLogger("smkex.server.handshake.mptcp")


class MptcpHandshakes:
    """Handshakes over MPTCP; `serve` is called with each new session."""

    def __init__(
        self,
        config: Callable[[], ServerConfig],
        locator_of: Callable[[str], tuple[str, int]],
        manager: PathManagerClient,
        serve: Callable[[SessionDriver], None],
        *,
        timeout: float,
        failures: Counter[str],
        observe_failure: FailureObserver = ignore_failure,
        observer: SubflowObserver | None = None,
    ) -> None:
        """`locator_of` returns where joins arrive to a connection at the given address of this server."""
        self._observer = observer or SubflowObserver()
        self._config = config
        self._locator_of = locator_of
        self._manager = manager
        self._serve = serve
        self._timeout = timeout
        self._failures = failures
        self._observe_failure = observe_failure

    async def run(self, connection: socket.socket) -> None:
        """Take one accepted MPTCP connection through its handshake; never raises what a peer caused."""
        names: list[str | None] = []
        try:
            async with asyncio.timeout(self._timeout):
                steering = self._manager.connection_steering(connection)
                pinned = PinnedConnection(connection, steering, timeout=self._timeout)
                await self._handshake(pinned, steering, names)
        except TimeoutError:
            self._refuse(connection, DeadlineMissed(), names)
        except (SmkexError, OSError) as error:
            self._refuse(connection, error, names)
        except asyncio.CancelledError:
            connection.close()
            raise

    def _refuse(
        self, connection: socket.socket, error: SmkexError | OSError, names: list[str | None]
    ) -> None:
        self._failures[type(error).__name__] += 1
        self._observe_failure(error, names[-1] if names else None)
        log.info("handshake failed: %s: %s", type(error).__name__, error)
        with contextlib.suppress(OSError):
            if isinstance(error, SmkexError):
                connection.send(encode_abort(error.code, error.detail))
        connection.close()

    async def _handshake(
        self, pinned: PinnedConnection, steering: ConnectionSteering, names: list[str | None]
    ) -> None:
        """`names` gets the server name once the client's share is read."""
        share = await _receive_expected(pinned, 0, FrameType.CLIENT_SHARE)
        names.append(read_server_name(share))
        handshake = ServerHandshake.answer_client_share(
            self._config(), share, await self._observe(pinned, steering, 0), os.urandom(32)
        )
        locator = self._locator_of(pinned.paths[0].local)
        pinned.expect_join(match_joins_at(*locator))
        address, port = locator
        # the port of the first subflow goes without saying, and beside an IPv6 address there is no room for it
        await steering.announce(address, 0 if port == pinned.paths[0].local_port else port)
        await pinned.send(0, handshake.server_share)
        await pinned.joined()
        nonce = await _receive_expected(pinned, 1, FrameType.CLIENT_NONCE)
        if ClientNonce.parse(nonce).session_id != handshake.session_id:
            raise UnexpectedMessage("the nonce belongs to another session")
        answer = handshake.receive_nonce(1, nonce, await self._observe(pinned, steering, 1), os.urandom(32))
        await pinned.send(1, answer)
        chosen = await _receive_finished(pinned, handshake)
        await pinned.send(chosen, Ready.build(chosen, handshake.established.keys.ready(chosen)).frame)
        await self._begin(pinned, handshake)

    async def _begin(self, pinned: PinnedConnection, handshake: ServerHandshake) -> None:
        paths = pinned.paths
        sock = await pinned.release()
        session = SessionDriver(
            handshake.established,
            "server",
            {
                "peername": (paths[0].remote, paths[0].remote_port),
                "sockname": (paths[0].local, paths[0].local_port),
                "transport": "mptcp",
                "path_confirmed": handshake.confirmation.has_path_1,
            },
        )
        flow = Flow(sock, (paths[0].remote, paths[0].remote_port))
        self._serve(session)
        session.add_flow(0, flow, FrameReader())

    async def _observe(
        self, pinned: PinnedConnection, steering: ConnectionSteering, path: int
    ) -> Observation:
        """Observe one subflow: an MPTCP socket has one mark for all its subflows, the path manager reads each."""
        seen = pinned.paths[path]
        state = await steering.inspect(seen)
        client = Endpoint(ip_address(seen.remote), seen.remote_port)
        return self._observer.decode_observation(state.mark, client, self._config().edge_id)


async def _receive_finished(pinned: PinnedConnection, handshake: ServerHandshake) -> int:
    """Take both Finished, in the client's order, and return the path of the last, which it chose for the session."""
    first = (await pinned.peek_exactly(HEADER_LENGTH + 1))[HEADER_LENGTH]  # Finished begins with its path
    if first not in (0, 1):
        raise UnexpectedMessage(f"no Finished of path 0 or 1 came: its path is {first}")
    last = 1 - first
    handshake.receive_finished(first, await _receive_expected(pinned, first, FrameType.FINISHED, then=last))
    handshake.receive_finished(last, await _receive_expected(pinned, last, FrameType.FINISHED))
    return last


async def _receive_expected(
    pinned: PinnedConnection, path: int, wanted: FrameType, *, then: int | None = None
) -> bytes:
    kind, frame = await receive_frame(pinned, path, then=then, verify=then is None)
    if kind is FrameType.ABORT:
        raise parse_abort(frame)
    if kind is not wanted:
        raise UnexpectedMessage(f"{kind.name} came instead of {wanted.name}")
    return frame
