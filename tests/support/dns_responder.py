"""`DnsServer` as a program at port 53: `dns_responder.py LISTEN ADDRESS...` answers every name with these addresses.

With `--silent=AAAA` (or A, SVCB) questions of that kind get no answer, with `--garbled` each comes after rubbish, with
`--truncate` each datagram is cut; `--service=DATA` is a service record of every name, `--certificate=FILE` (PEM; the
key beside it as FILE with .key) serves DNS over TLS, too.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import dns.message
import dns.rdatatype
from dns_server import DnsServer


def main(listen: str, *words: str) -> None:
    def option(name: str) -> list[str]:
        return [word.partition("=")[2] for word in words if word.startswith(f"--{name}")]

    def change(query: dns.message.Message, answer: dns.message.Message) -> Sequence[bytes]:
        data = answer.to_wire()
        if dns.rdatatype.to_text(query.question[0].rdtype) in option("silent"):
            return []
        return [b"rubbish", bytes([data[0] ^ 1]) + data[1:], data] if option("garbled") else [data]

    addresses = [word for word in words if not word.startswith("--")]
    records = {
        "A": [one for one in addresses if ":" not in one],
        "AAAA": [one for one in addresses if ":" in one],
        "SVCB": option("service"),
    }
    certificates = [(Path(file), Path(file).with_suffix(".key")) for file in option("certificate")]
    server = DnsServer(
        {"*": {kind: data for kind, data in records.items() if data}},
        change=change,
        certificate=certificates[0] if certificates else None,
        address=listen,
        port=53,
        truncate=bool(option("truncate")),
    )
    asyncio.run(serve(server))


async def serve(server: DnsServer) -> None:
    async with server:
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
