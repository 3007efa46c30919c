"""An agent that was taken over: answers its peers with what should fill their memory or send them elsewhere."""

import argparse
import gzip
import itertools
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BOMB = 64 << 20  # bytes, before compression


class HostileAnswer(BaseHTTPRequestHandler):
    """Each answer is another one."""

    numbers = itertools.count()
    bomb = gzip.compress(bytes(BOMB))
    edge_id = 0

    def do_GET(self) -> None:
        lie = {"edge_id": self.edge_id, "announcing": True, "cut_off": False, "outside": "127.0.0.1"}
        answers: tuple[tuple[str, bytes], ...] = (
            ("gzip", self.bomb),
            ("identity", b" " * BOMB),
            ("identity", b"[" * 4000),
            ("identity", json.dumps(lie).encode()),
            ("identity", json.dumps({**lie, "outside": "\x1b[2J" * 700}).encode()),
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
