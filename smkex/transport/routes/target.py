"""The service address and an edge's locator, computed from the VIP alone, never taken from a message."""

from dataclasses import dataclass

from smkex.core.errors import MalformedMessage
from smkex.core.wire.locator import ID_PORT_BASE, SERVICE_PORT, address_locator, port_locator
from smkex.core.wire.messages import LocatorKind
from smkex.transport.routes.routes import Address


@dataclass(frozen=True, slots=True)
class Target:
    """The VIP, its service port, the first port of its port locators, and the kind of its locators.

    `kind` None is for IPv6 only and means that the edge states it: both kinds lie inside the VIP's own /112, which is
    the CDN's. The low 8 bits of an IPv4 address may belong to anyone, so there only the client's own setting decides.
    """

    vip: Address
    service_port: int = SERVICE_PORT
    id_port_base: int = ID_PORT_BASE
    kind: LocatorKind | None = LocatorKind.PORT

    @classmethod
    def at(cls, vip: Address, service_port: int, id_port_base: int, kind: LocatorKind | None) -> "Target":
        """Return a target with the default kind: ports with IPv4, as the edge states with IPv6."""
        usual = LocatorKind.PORT if vip.version == 4 else None
        return cls(vip, service_port, id_port_base, kind or usual)

    def locator(self, edge_id: int) -> tuple[Address, int]:
        """Address and port that lead to edge `edge_id`; raises `MalformedMessage` where it has none."""
        match self.kind:
            case LocatorKind.PORT:
                return self.vip, port_locator(edge_id, self.id_port_base)
            case LocatorKind.ADDRESS:
                return address_locator(self.vip, edge_id), self.service_port
        raise MalformedMessage(f"the kind of the locators of {self.vip} is unknown")

    def __str__(self) -> str:
        return format_endpoint(str(self.vip), self.service_port)


def format_endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
