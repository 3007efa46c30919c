"""Locators: destination of a secondary subflow, which the client computes from the dialled VIP and the edge id."""

from ipaddress import IPv4Address, IPv6Address

from smkex.core.errors import MalformedMessage

ID_PORT_BASE = 10000  # default first port of the range; ids begin at 1
SERVICE_PORT = 443
ADDRESS_BITS = {4: 8, 6: 16}  # low bits of the VIP that hold the id, by version of IP


def port_locator(edge_id: int, base: int = ID_PORT_BASE) -> int:
    """The port on the VIP that leads to edge `edge_id`; raises `MalformedMessage` outside the port range."""
    port = base + edge_id
    if edge_id < 1 or port > 65535:
        raise MalformedMessage(f"edge id {edge_id} has no port locator above {base}")
    return port


def address_locator(vip: IPv4Address | IPv6Address, edge_id: int) -> IPv4Address | IPv6Address:
    """The VIP with the id in its low bits; raises `MalformedMessage` where it does not fit, or is the VIP itself."""
    bits = ADDRESS_BITS[vip.version]
    if not 0 < edge_id < 1 << bits:
        raise MalformedMessage(f"edge id {edge_id} has no address locator: {bits} bits of {vip} hold it")
    located = type(vip)(int(vip) >> bits << bits | edge_id)
    if located == vip:
        raise MalformedMessage(f"edge id {edge_id} has no address locator: it would be {vip} itself")
    return located
