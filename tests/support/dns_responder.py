"""A name server that tells one address for every name: `dns_responder.py LISTEN ADDRESS`. For tests."""

import socket
import sys

import dns.message
import dns.rrset


def main(listen: str, address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((listen, 53))
        print("ready", flush=True)
        while True:
            data, client = server.recvfrom(4096)
            query = dns.message.from_wire(data)
            answer = dns.message.make_response(query)
            answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", address))
            server.sendto(answer.to_wire(), client)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
