"""An agent that was taken over: answers its peers with what should fill their memory, or in another edge's name.

It signs with a key of its own, which is not in the table, over the nonce of the question and over that of the first.
"""

import argparse
import gzip
import itertools
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancer.agent.peers.signed_answer import PeerAnswer

BOMB = 64 << 20  # bytes, before compression


class HostileAnswer(BaseHTTPRequestHandler):
    """Each answer is another one."""

    numbers = itertools.count()
    bomb = gzip.compress(bytes(BOMB))
    edge_id = 0
    key = Ed25519PrivateKey.generate()
    first_nonce = b""

    def do_GET(self) -> None:
        nonce = bytes.fromhex(self.path.removeprefix("/peer/"))
        HostileAnswer.first_nonce = self.first_nonce or nonce
        answer = PeerAnswer(self.edge_id, 2**53 - 1, announcing=True, cut_off=False)
        lie = answer.sign(self.key, nonce)
        answers: tuple[tuple[str, bytes], ...] = (
            ("gzip", self.bomb),
            ("identity", b" " * BOMB),
            ("identity", b"[" * 4000),
            ("identity", json.dumps(lie).encode()),
            ("identity", json.dumps(answer.sign(self.key, self.first_nonce)).encode()),
            ("identity", json.dumps({**lie, "signature": "\x1b[2J" * 700}).encode()),
            ("identity", json.dumps({**lie, "outside": "127.0.0.1", "signature": None}).encode()),
        )
        encoding, body = answers[next(self.numbers) % len(answers)]
        print("answered", flush=True)
        try:
            self.send_response(200)
            self.send_header("content-encoding", encoding)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # the peer has heard enough

    def log_message(self, *_: object) -> None:
        """Keep the log for what the attack needs."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Answer peers' agents with hostile answers.")
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("edge_id", type=int)
    options = parser.parse_args()
    HostileAnswer.edge_id = options.edge_id
    server = ThreadingHTTPServer((options.address, options.port), HostileAnswer)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
