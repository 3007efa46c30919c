"""The lab's network as data: the one source of names and addresses, for namespaces and for compose.

phone --cell0-- ispa --- edge1 --+
  |               |              |
  |            transit - edge3 --+-- backbone (control, origin)
  |               |              |
  +----wifi0--- ispb --- edge2 --+
"""

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network

from lab.errors import LabFailed

VIP = "203.0.113.1"
VIP6 = "2001:db8:cd::"
SERVICE_NAME = "cdn.lab"
V6_NAME, DUAL_NAME = "cdn6.lab", "cdn46.lab"  # with an IPv6 address alone, and with both
CONTROL_PORT = 8443
ORIGIN_PORT = 8080
SHOP_NAME = "shop.cdn.lab"  # the ISPs' resolvers know every name below the service's
CERTIFIED_NAMES = (SERVICE_NAME, VIP, SHOP_NAME, V6_NAME, DUAL_NAME, VIP6)  # of the edges' TLS certificate
BACKBONE = "backbone"


@dataclass(frozen=True, slots=True)
class LabNode:
    """One host. `asn` where BIRD runs; `edge_id` where an edge does; `resolves` where clients find a resolver."""

    name: str
    asn: int | None = None
    edge_id: int | None = None
    site: str = ""
    forwards: bool = False
    resolves: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """One end of a link: node, interface name (at most 15 characters), address."""

    node: str
    interface: str
    address: IPv4Interface


@dataclass(frozen=True, slots=True)
class LabLink:
    """A cable between two hosts; `bgp` when both ends' BIRDs talk over it."""

    left: End
    right: End
    bgp: bool = False

    @property
    def name(self) -> str:
        return f"{self.left.node}-{self.right.node}"

    @property
    def network(self) -> IPv4Network:
        return self.left.address.network


@dataclass(frozen=True, slots=True)
class DefaultRoute:
    """By `interface` of `node`, through the other end of its link."""

    node: str
    interface: str
    metric: int = 0


@dataclass(frozen=True, slots=True)
class LabOrigin:
    """One origin server on the node `origin`; `faults`: it can be made unhealthy (`origin/faults.py`)."""

    name: str
    port: int
    tls: bool = False
    faults: bool = False


@dataclass(frozen=True, slots=True)
class LabService:
    """A service that `sennit lab services` publishes."""

    name: str
    hostnames: tuple[str, ...]
    origins: tuple[LabOrigin, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """The whole network."""

    nodes: tuple[LabNode, ...]
    links: tuple[LabLink, ...]
    backbone: tuple[End, ...]
    routes: tuple[DefaultRoute, ...]
    services: tuple[LabService, ...] = ()

    def node(self, name: str) -> LabNode:
        return next(node for node in self.nodes if node.name == name)

    def added_origins(self) -> list[LabOrigin]:
        """The origins beside the one that edges have as `--upstream`."""
        return [one for service in self.services for one in service.origins if one.port != ORIGIN_PORT]

    def link(self, name: str) -> LabLink:
        """Raises `LabFailed` with the names there are."""
        for link in self.links:
            if link.name == name:
                return link
        raise LabFailed(f"no link {name!r}: there are {', '.join(link.name for link in self.links)}")

    def edges(self) -> list[LabNode]:
        return [node for node in self.nodes if node.edge_id is not None]

    def routers(self) -> list[LabNode]:
        """Where BIRD runs: carriers and edges."""
        return [node for node in self.nodes if node.asn is not None]

    def carriers(self) -> list[LabNode]:
        """ISPs and transit: they route the VIP, and have no edge of their own."""
        return [node for node in self.routers() if node.edge_id is None]

    def ends(self, node: str) -> list[tuple[End, End, bool]]:
        """Links of a node as (own end, other end, whether BGP runs over it)."""
        found = []
        for link in self.links:
            if link.left.node == node:
                found.append((link.left, link.right, link.bgp))
            if link.right.node == node:
                found.append((link.right, link.left, link.bgp))
        return found

    def interfaces(self, node: str) -> list[End]:
        """Every interface of a node, that to the backbone last."""
        return [own for own, _, _ in self.ends(node)] + [end for end in self.backbone if end.node == node]

    def gateways(self, node: str) -> list[tuple[DefaultRoute, str]]:
        """A node's default routes with the address that each goes through."""
        others = {own.interface: str(other.address.ip) for own, other, _ in self.ends(node)}
        return [(route, others[route.interface]) for route in self.routes if route.node == node]

    def backbone_address(self, node: str) -> str:
        return str(next(end.address.ip for end in self.backbone if end.node == node))

    def outside_address(self, edge: str) -> str:
        """An edge's own address towards its carrier."""
        return next(str(own.address.ip) for own, _, bgp in self.ends(edge) if bgp)

    def resolvers(self, node: str) -> dict[str, str]:
        """Where a client asks for names: interface → address, that of its ISP."""
        return {
            own.interface: str(other.address.ip)
            for own, other, bgp in self.ends(node)
            if self.node(other.node).resolves and not bgp
        }

    def nearest_edge(self, carrier: str) -> LabNode:
        """The edge that hangs on a carrier."""
        return next(
            node for _, other, _ in self.ends(carrier) if (node := self.node(other.node)).edge_id is not None
        )


def _link_end(node: str, interface: str, address: str) -> End:
    return End(node, interface, IPv4Interface(address))


LAB = Topology(
    nodes=(
        LabNode("phone"),
        LabNode("ispa", asn=64501, forwards=True, resolves=True),
        LabNode("ispb", asn=64502, forwards=True, resolves=True),
        LabNode("transit", asn=64503, forwards=True),
        LabNode("edge1", asn=64511, edge_id=1, site="a", forwards=True),
        LabNode("edge2", asn=64512, edge_id=2, site="b", forwards=True),
        LabNode("edge3", asn=64513, edge_id=3, site="c", forwards=True),
        LabNode("control"),
        LabNode("origin"),
    ),
    links=(
        LabLink(_link_end("phone", "cell0", "10.1.0.2/24"), _link_end("ispa", "phone", "10.1.0.1/24")),
        LabLink(_link_end("phone", "wifi0", "10.2.0.2/24"), _link_end("ispb", "phone", "10.2.0.1/24")),
        LabLink(
            _link_end("ispa", "transit", "10.3.1.1/29"), _link_end("transit", "ispa", "10.3.1.2/29"), bgp=True
        ),
        LabLink(
            _link_end("ispb", "transit", "10.3.2.1/29"), _link_end("transit", "ispb", "10.3.2.2/29"), bgp=True
        ),
        LabLink(
            _link_end("ispa", "edge1", "10.11.0.1/29"), _link_end("edge1", "up0", "10.11.0.2/29"), bgp=True
        ),
        LabLink(
            _link_end("ispb", "edge2", "10.12.0.1/29"), _link_end("edge2", "up0", "10.12.0.2/29"), bgp=True
        ),
        LabLink(
            _link_end("transit", "edge3", "10.13.0.1/29"), _link_end("edge3", "up0", "10.13.0.2/29"), bgp=True
        ),
    ),
    backbone=(
        _link_end("edge1", "bb0", "10.255.0.1/24"),
        _link_end("edge2", "bb0", "10.255.0.2/24"),
        _link_end("edge3", "bb0", "10.255.0.3/24"),
        _link_end("control", "bb0", "10.255.0.100/24"),
        _link_end("origin", "bb0", "10.255.0.101/24"),
    ),
    # the phone has no policy rules, as phones have none: two metrics, and the first always wins
    routes=(
        DefaultRoute("phone", "cell0", 100),
        DefaultRoute("phone", "wifi0", 200),
        DefaultRoute("edge1", "up0"),
        DefaultRoute("edge2", "up0"),
        DefaultRoute("edge3", "up0"),
    ),
    services=(
        LabService(
            "site",
            (SERVICE_NAME, V6_NAME, DUAL_NAME, VIP, VIP6),
            (LabOrigin("main", ORIGIN_PORT), LabOrigin("spare", ORIGIN_PORT + 1)),
        ),
        LabService(
            "shop",
            (SHOP_NAME,),
            (LabOrigin("secure", 8443, tls=True), LabOrigin("frail", ORIGIN_PORT + 2, faults=True)),
        ),
    ),
)
