"""Addresses that a host can have and routers forward to: RFC 6890 (special purposes) and RFC 4291 (IPv6).

Private, shared, benchmarking and documentation prefixes are allowed: fleets, backbones and labs use them.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_REFUSED = tuple(
    (ip_network(prefix), why)
    for prefix, why in (
        ("0.0.0.0/8", "this network (RFC 791)"),
        ("127.0.0.0/8", "loopback (RFC 1122)"),
        ("169.254.0.0/16", "link-local (RFC 3927)"),
        ("192.0.0.0/24", "protocol assignments (RFC 6890)"),
        ("224.0.0.0/4", "multicast (RFC 5771)"),
        ("240.0.0.0/4", "reserved or limited broadcast (RFC 1112, RFC 919)"),
        ("::/96", "unspecified, loopback or IPv4-compatible (RFC 4291)"),
        ("::ffff:0:0/96", "IPv4-mapped (RFC 4291)"),
        ("64:ff9b::/96", "IPv4-embedded (RFC 6052)"),
        ("64:ff9b:1::/48", "IPv4-embedded (RFC 8215)"),
        ("100::/64", "discard-only (RFC 6666)"),
        ("2001::/32", "Teredo (RFC 4380)"),
        ("2002::/16", "6to4 (RFC 3056)"),
        ("fe80::/10", "link-local (RFC 4291)"),
        ("fec0::/10", "site-local, deprecated (RFC 3879)"),
        ("ff00::/8", "multicast (RFC 4291)"),
    )
)


def parse_unicast(value: object, version: int, *, allow_loopback: bool = False) -> str:
    """Return a unicast address of this version as compressed text; ValueError says what is wrong."""
    try:
        address = ip_address(value) if isinstance(value, str | IPv4Address | IPv6Address) else None
    except ValueError:
        address = None
    if address is None:
        raise ValueError("not an address")
    if address.version != version:
        raise ValueError(f"not a unicast IPv{version} address: {address} is IPv{address.version}")
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError(f"not a unicast IPv6 address: {address} has a zone")
    if allow_loopback and address.is_loopback:
        return str(address)
    for network, why in _REFUSED:
        if address in network:
            raise ValueError(f"not a unicast IPv{version} address: {address} is {why}")
    return str(address)
