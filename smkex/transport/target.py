"""Where a client dials, and where it finds an edge's locator: computed from the VIP alone, never told by anybody."""

from dataclasses import dataclass

from smkex.core.locator import ID_PORT_BASE, SERVICE_PORT, address_locator, port_locator
from smkex.core.messages import LocatorKind
from smkex.transport.routes import Address


@dataclass(frozen=True, slots=True)
class Target:
    """The VIP, its service port, the first port of its port locators, and the kind of its locators.

    By default IPv4 has port locators and IPv6 has address locators.
    """

    vip: Address
    service_port: int = SERVICE_PORT
    id_port_base: int = ID_PORT_BASE
    kind: LocatorKind | None = None

    @property
    def locator_kind(self) -> LocatorKind:
        if self.kind is not None:
            return self.kind
        return LocatorKind.PORT if self.vip.version == 4 else LocatorKind.ADDRESS

    def locator(self, edge_id: int) -> tuple[Address, int]:
        """Address and port that lead to edge `edge_id`; raises `MalformedMessage` where it has none."""
        if self.locator_kind is LocatorKind.PORT:
            return self.vip, port_locator(edge_id, self.id_port_base)
        return address_locator(self.vip, edge_id), self.service_port

    def __str__(self) -> str:
        return endpoint(str(self.vip), self.service_port)


def endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
