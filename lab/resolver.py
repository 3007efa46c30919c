"""The ISPs' resolvers: dnsmasq, which knows the CDN's name and nothing else."""

from lab.topology import SERVICE_NAME, VIP, Topology


def resolver_command(topology: Topology, node: str) -> list[str]:
    """The command line of one ISP's resolver; it answers at the addresses of its links to clients."""
    clients = [own.address.ip for own, other, bgp in topology.ends(node) if not bgp]
    return [
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"),
        *("--bind-interfaces", "--user=", "--pid-file=", f"--address=/{SERVICE_NAME}/{VIP}"),
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
