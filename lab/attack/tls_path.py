"""Attackers on path 0 of mode mtls, where TLS goes in the place of frames."""

import os
from pathlib import Path

from smkex.core.handshake.server_info import ServerInfo
from smkex.core.handshake.tls import RECORD_HEADER, TlsClient, TlsServer, client_context, server_context
from smkex.core.wire.messages import NONCE_LENGTH
from smkex.transport.frame_channel import FrameChannel

PIECE = 7  # bytes of a handshake message in each record of a relay that cuts them up
HANDSHAKE = 22


class AttackerIdentity:
    """What the man in the middle has: a certificate that some authority gave him, and the genuine authority's."""

    def __init__(self, certificate: Path, key: Path, genuine_authority: Path, host: str) -> None:
        self.server = server_context(certificate, key)
        self.client = client_context(genuine_authority)
        self.host = host


async def accept_tls(phone: FrameChannel, identity: AttackerIdentity) -> TlsServer:
    """Be the service for the client. Raises `SmkexError` where the client does not believe it."""
    tls = TlsServer(identity.server)
    while not tls.done:
        try:
            tls.receive(await phone.next_tls_record())
        finally:
            phone.send(tls.to_send())
    return tls


async def relay_server_info(phone: FrameChannel, edge: FrameChannel, identity: AttackerIdentity) -> None:
    """Two TLS connections, one word passed between them: ServerInfo. Then wait for the client's end."""
    towards_edge = TlsClient(identity.client, identity.host, os.urandom(NONCE_LENGTH))
    edge.send(towards_edge.to_send())
    while towards_edge.outcome is None:
        towards_edge.receive(await edge.next_tls_record())
        edge.send(towards_edge.to_send())
    towards_client = await accept_tls(phone, identity)
    towards_client.finish(ServerInfo.parse(towards_edge.outcome.info))
    phone.send(towards_client.to_send())
    await phone.next_frame()


def cut_up(record: bytes) -> bytes:
    """The same handshake messages in clear, in records of a few bytes; other records as they are."""
    if record[0] != HANDSHAKE:
        return record
    body = record[RECORD_HEADER:]
    pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
    return b"".join(record[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)


class Cutter:
    """Cuts up the records of one direction until no record comes any more: then everything passes as it is."""

    def __init__(self) -> None:
        self._held = b""
        self._over = False

    def change(self, data: bytes) -> bytes:
        if self._over:
            return data
        self._held += data
        out = b""
        while len(self._held) >= RECORD_HEADER:
            if not 20 <= self._held[0] <= 23:
                self._over = True
                out, self._held = out + self._held, b""
                break
            end = RECORD_HEADER + int.from_bytes(self._held[3:RECORD_HEADER], "big")
            if len(self._held) < end:
                break
            out += cut_up(self._held[:end])
            self._held = self._held[end:]
        return out
