"""The ISPs' resolvers: dnsmasq, which knows the CDN's names and nothing else."""

from lab.ipv6 import address_v6
from lab.topology import DUAL_NAME, SERVICE_NAME, V6_NAME, VIP, VIP6, Topology


def resolver_command(topology: Topology, node: str) -> list[str]:
    """The command line of one ISP's resolver; it answers at the addresses of its links to clients."""
    clients: list[object] = []
    for own, _, bgp in topology.ends(node):
        if not bgp:
            clients += [own.address.ip, address_v6(own).ip]
    return [
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"),
        *("--bind-interfaces", "--user=", "--pid-file=", f"--address=/{SERVICE_NAME}/{VIP}"),
        *(f"--address=/{V6_NAME}/{VIP6}", f"--address=/{DUAL_NAME}/{VIP}", f"--address=/{DUAL_NAME}/{VIP6}"),
        *(f"--listen-address={address}" for address in clients),
    ]


def resolver_environment(topology: Topology, node: str) -> dict[str, str]:
    """What tells `sennit get` on a node which resolver each path has."""
    found = topology.resolvers(node)
    return (
        {"SENNIT_RESOLVERS": ",".join(f"{name}={address}" for name, address in found.items())}
        if found
        else {}
    )
