"""Path 0 of mode mtls with a hand on every record between both ends: changed, cut up, dropped, repeated, made up.

What must hold: nothing but declared errors, and if both ends are done they have the same outcome.
"""

from harness import covered, fuzz

with covered():
    from smkex.core.errors import SmkexError
    from smkex.core.handshake.server_info import TlsOutcome
    from smkex.core.handshake.tls import TlsClient, TlsServer
    from smkex.core.wire.frame_reader import FrameReader

import json
from pathlib import Path

from atheris import FuzzedDataProvider
from tls_exchange import HOST, INFO, contexts, records_of

VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "mtls-aes-128-gcm.json").read_text())
RECORDED = VECTOR["inputs"]["tls"]
TRUSTING, SHOWING = contexts(RECORDED["certificate"].encode(), RECORDED["certificate_private_key"].encode())
STEPS = 12


def tampered(source: FuzzedDataProvider, record: bytes) -> list[bytes]:
    """The records that go on in the place of this one."""
    match source.ConsumeIntInRange(0, 7):
        case 0:
            at = source.ConsumeIntInRange(0, min(len(record), 400) - 1)
            changed = record[:at] + bytes([source.ConsumeIntInRange(0, 255)]) + record[at + 1 :]
        case 1:
            cut = source.ConsumeIntInRange(1, 200)
            pieces = [record[at : at + cut] for at in range(5, len(record), cut)]
            changed = b"".join(record[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)
        case 2:
            changed = b""
        case 3:
            changed = record + record
        case 4:
            body = source.ConsumeBytes(source.ConsumeIntInRange(0, 300))
            kind = source.ConsumeIntInRange(20, 23)
            changed = bytes([kind, 3, 3]) + len(body).to_bytes(2, "big") + body
        case 5:
            changed = source.ConsumeBytes(source.ConsumeIntInRange(0, 100)) + record
        case _:
            changed = record
    reader = FrameReader()
    reader.feed(changed)
    found = []
    while (whole := reader.next_tls_record()) is not None:
        found.append(whole)
    return found


def exchange_records(source: FuzzedDataProvider, client: TlsClient, server: TlsServer) -> TlsOutcome | None:
    """Exchange records; return the edge's outcome."""
    outcome = None
    for _ in range(STEPS):
        for sender, end in ((client, server), (server, client)):
            for record in records_of(sender.to_send()):
                for each in tampered(source, record):
                    if not (end is server and server.done):  # it reads no further record
                        end.receive(each)
            if server.done and outcome is None:
                outcome = server.finish(INFO)
        if client.outcome is not None:
            break
    return outcome


def one(data: bytes) -> None:
    client, server = TlsClient(TRUSTING, HOST, bytes(32)), TlsServer(SHOWING)
    try:
        outcome = exchange_records(FuzzedDataProvider(data), client, server)
    except SmkexError:
        return
    if client.outcome is not None:
        assert client.outcome == outcome, "both ends are done and do not agree"


if __name__ == "__main__":
    fuzz(one)
