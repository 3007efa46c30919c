"""A name server that tells the same addresses for every name: `dns_responder.py LISTEN ADDRESS...`. For tests.

With `--silent=AAAA` (or A) questions of that kind get no answer, with `--garbled` each comes after rubbish.
"""

import socket
import sys

import dns.message
import dns.rdatatype
import dns.rrset


def main(listen: str, *words: str) -> None:
    addresses = [word for word in words if not word.startswith("--")]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((listen, 53))
        print("ready", flush=True)
        while True:
            data, client = server.recvfrom(4096)
            query = dns.message.from_wire(data)
            kind = dns.rdatatype.to_text(query.question[0].rdtype)
            if f"--silent={kind}" in words:
                continue
            if "--garbled" in words:
                server.sendto(b"rubbish", client)
                server.sendto(bytes([data[0] ^ 1]) + data[1:], client)
            answer = dns.message.make_response(query)
            found = [one for one in addresses if (":" in one) == (kind == "AAAA") and kind in ("A", "AAAA")]
            if found:
                answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", kind, *found))
            server.sendto(answer.to_wire(), client)


if __name__ == "__main__":
    main(*sys.argv[1:])
