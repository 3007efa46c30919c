"""PROXY protocol v2 towards an HTTP origin: the address of the client that a connection is opened for.

It comes from the session or the TLS connection itself, at a shield from the edge that has it; nothing that a client
writes counts.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address

from edge.telemetry.request_record import current_record
from smkex.server.proxy_header import build_plain_header

UNSPECIFIED: dict[int, IPv4Address | IPv6Address] = {4: IPv4Address(0), 6: IPv6Address(0)}


def header_of_request() -> bytes:
    """Return the header for the request of this task; LOCAL where it is for no client, such as a health check."""
    record = current_record.get()
    client = record.connection.client if record is not None else ""
    if record is None or not client:
        return build_plain_header(None, (UNSPECIFIED[4], 0))
    facts = record.connection
    source = ip_address(client)
    server = ip_address(facts.server) if facts.server else UNSPECIFIED[source.version]
    return build_plain_header(
        (source, facts.client_port), (server, facts.server_port), record.request_id.encode("ascii")
    )
