"""Locators: where a secondary subflow goes, computed by the client alone from the dialled VIP and the edge id."""

from smkex.core.errors import MalformedMessage

ID_PORT_BASE = 10000  # default first port of the range; ids begin at 1
SERVICE_PORT = 443


def port_locator(edge_id: int, base: int = ID_PORT_BASE) -> int:
    """The port on the VIP that leads to edge `edge_id`; raises `MalformedMessage` outside the port range."""
    port = base + edge_id
    if edge_id < 1 or port > 65535:
        raise MalformedMessage(f"edge id {edge_id} has no port locator above {base}")
    return port
