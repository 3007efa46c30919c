"""Both ends of a key exchange with every message changed, moved, repeated or forged.

What must hold: if the client is done, the edge has a candidate with the very same keys.
"""

from dataclasses import replace

from harness import covered, fuzz

with covered():
    from smkex.core.errors import SmkexError
    from smkex.core.handshake.client import ClientHandshake, ClientState
    from smkex.core.handshake.config import ClientConfig, ServerConfig
    from smkex.core.handshake.server import ServerHandshake
    from smkex.core.wire.frame import FrameType
    from smkex.core.wire.frame_reader import FrameReader
    from smkex.core.wire.messages import Aead, Mode

import hpke_stranger
from atheris import FuzzedDataProvider
from exchanges import CELLULAR, WIFI, entropy
from generate import NAME_PRIVATE_KEY, NOT_BEFORE, NOW, OLD_NAME_PRIVATE_KEY, long_term, name_key

NEW, OLD = name_key(NAME_PRIVATE_KEY, NOW), name_key(OLD_NAME_PRIVATE_KEY, NOT_BEFORE)
CLEAR = ClientConfig("cdn.example", (Mode.TOFU, Mode.OPPORTUNISTIC), tuple(Aead), now=NOW)
SEALED = replace(CLEAR, name_key=OLD.signed)
SERVER = ServerConfig(
    7, (Mode.TOFU, Mode.OPPORTUNISTIC), tuple(Aead), long_term=long_term(), name_keys=(NEW, OLD)
)


def tampered(source: FuzzedDataProvider, genuine: bytes) -> list[tuple[FrameType, bytes]]:
    """Whole frames made of a genuine one, or of the input's bytes."""
    match source.ConsumeIntInRange(0, 4):
        case 0:
            changed = genuine
        case 1:
            at, value = source.ConsumeIntInRange(0, len(genuine) - 1), source.ConsumeIntInRange(0, 255)
            changed = genuine[:at] + bytes([value]) + genuine[at + 1 :]
        case 2:
            cut = source.ConsumeIntInRange(4, len(genuine))
            body = genuine[4:cut] + source.ConsumeBytes(source.ConsumeIntInRange(0, 200))
            changed = genuine[:1] + len(body).to_bytes(3, "big") + body
        case 3:
            changed = source.ConsumeBytes(source.ConsumeIntInRange(0, 300))
        case _:
            changed = genuine + genuine
    reader = FrameReader()
    reader.feed(changed)
    return list(reader.frames())


def exchange(source: FuzzedDataProvider, client: ClientHandshake) -> ServerHandshake | None:
    """Let messages through, tampered with; return the edge's end, if it came to be."""
    server: ServerHandshake | None = None
    for _, frame in tampered(source, client.client_share):
        server = ServerHandshake.answer_client_share(SERVER, frame, CELLULAR, bytes([9]) * 32)
    if server is None:
        return None
    answers = [server.server_share]
    for step in range(source.ConsumeIntInRange(1, 8)):
        try:
            if source.ConsumeBool():
                for _, frame in tampered(source, client.client_nonce):
                    answers.append(server.receive_nonce(step + 1, frame, WIFI, bytes([step]) * 32))
            genuine = answers[source.ConsumeIntInRange(0, len(answers) - 1)]
            for kind, frame in tampered(source, genuine):
                path = source.ConsumeIntInRange(0, 1)
                if client.receive(path, kind, frame) is ClientState.DONE:
                    return server
        except SmkexError:
            if client.state is ClientState.FAILED:
                return server
    return server


def finish(source: FuzzedDataProvider, client: ClientHandshake, server: ServerHandshake) -> None:
    for _ in range(source.ConsumeIntInRange(1, 6)):
        try:
            for _, frame in tampered(source, client.finished(source.ConsumeIntInRange(0, 1))):
                server.receive_finished(source.ConsumeIntInRange(0, 4), frame)
        except SmkexError:
            continue
    if server.confirmed:
        assert server.established.keys.th == client.established.keys.th
        assert server.established.server_name == "cdn.example"
        assert client.established.name_key in (NEW.signed, OLD.signed)


def seal(public: bytes, clear: bytes, info: bytes) -> bytes:
    """As HPKE seals, with the same ephemeral key in every run."""
    return hpke_stranger.seal(public, bytes(range(32)), info, b"", clear)


def one(data: bytes) -> None:
    source = FuzzedDataProvider(data)
    client = ClientHandshake.begin(SEALED if source.ConsumeBool() else CLEAR, entropy(), seal)
    try:
        server = exchange(source, client)
    except SmkexError:
        return
    if server is not None and client.state is ClientState.DONE:
        keys = client.established.keys
        assert any(c.keys.finished(0) == keys.finished(0) for c in server._candidates.values())
        finish(source, client, server)
    elif server is not None:
        assert not server.confirmed


if __name__ == "__main__":
    fuzz(one)
