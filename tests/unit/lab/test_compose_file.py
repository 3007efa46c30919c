"""docker-compose.yml is the same network as lab/topology.py: names, addresses, links, settings, places."""

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from balancer.datapath.load.host_settings import required_sysctls
from lab.compose.probe_cable import probe_ends, prober_of
from lab.compose.running import BESIDE
from lab.host import kernel_settings
from lab.ipv6 import address_v6, backbone_address_v6, kernel_settings_v6
from lab.resolver import resolver_environment
from lab.services import origin_options
from lab.topology import BACKBONE, CONTROL_PORT, LAB, ORIGIN_PORT, LabNode

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
# of what has a capability, and which
CAPABLE = {
    "-net": ["NET_ADMIN"],
    "-probe": ["NET_ADMIN"],
    "-bird": ["NET_ADMIN"],
    "-forwarder": ["NET_ADMIN", "BPF", "PERFMON"],
}
CABLES = [(link.name, end) for link in LAB.links for end in (link.left, link.right)]
CABLES += [(prober_of(edge), end) for edge in LAB.edges() for end in probe_ends(edge)]
CABLES += [(BACKBONE, end) for end in LAB.backbone]


def addresses(service: str) -> dict[str, tuple[str, str]]:
    """Network → addresses of a service, where it is given some: IPv4, IPv6."""
    networks = SERVICES[service].get("networks", {})
    return {
        name: (one["ipv4_address"], str(IPv6Address(one["ipv6_address"])))
        for name, one in networks.items()
        if one
    }


def holder(node: LabNode) -> str:
    """The service that owns a node's network namespace."""
    return f"{node.name}-net" if f"{node.name}-net" in SERVICES else node.name


@pytest.mark.parametrize("node", LAB.nodes, ids=lambda node: node.name)
def test_a_host_has_its_addresses_on_its_links(node: LabNode) -> None:
    assert addresses(holder(node)) == addresses_on_cables(node.name)


def addresses_on_cables(node: str) -> dict[str, tuple[str, str]]:
    return {
        network: (str(end.address.ip), str(address_v6(end).ip)) for network, end in CABLES if end.node == node
    }


@pytest.mark.parametrize("edge", LAB.edges(), ids=lambda edge: edge.name)
def test_an_edge_is_probed_from_a_network_of_its_own(edge: LabNode) -> None:
    prober = SERVICES[prober_of(edge)]
    assert prober["command"] == ["lab", "container", "probe", edge.name]
    assert addresses(prober_of(edge)) == addresses_on_cables(prober_of(edge))
    assert prober["volumes"] == [f"{edge.name}:/var/lib/sennit"]
    assert "--outside probe0 " in SERVICES[f"{edge.name}-forwarder"]["entrypoint"][-1]


def test_there_are_no_other_hosts_and_no_other_links() -> None:
    probers = {prober_of(edge) for edge in LAB.edges()}
    assert {name for name in SERVICES if addresses(name)} == {holder(node) for node in LAB.nodes} | probers
    assert set(COMPOSE["networks"]) == {network for network, _ in CABLES} | {"api"}


def test_a_links_prefix_is_the_same_and_dockers_own_address_is_nobodys() -> None:
    for name, end in CABLES:
        given, given_v6 = COMPOSE["networks"][name]["ipam"]["config"]
        assert IPv4Network(given["subnet"]) == end.address.network
        assert IPv6Network(given_v6["subnet"]) == address_v6(end).network
        taken = [addresses(service).get(name, ("", "")) for service in SERVICES]
        assert not {given["gateway"], str(IPv6Address(given_v6["gateway"]))} & {
            each for pair in taken for each in pair
        }
        assert COMPOSE["networks"][name]["driver_opts"]["com.docker.network.bridge.inhibit_ipv4"] == "true"


@pytest.mark.parametrize(
    "node", [node for node in LAB.nodes if f"{node.name}-net" in SERVICES], ids=lambda node: node.name
)
def test_a_host_is_made_of_itself(node: LabNode) -> None:
    host = SERVICES[f"{node.name}-net"]
    assert host["command"] == ["lab", "container", "host", node.name]
    settings = {name: str(value) for name, value in host["sysctls"].items()}
    wanted_settings = kernel_settings(LAB, node.name) | kernel_settings_v6(LAB, node.name)
    assert wanted_settings.items() <= settings.items()
    parts = [name for name, one in SERVICES.items() if one.get("network_mode") == f"service:{node.name}-net"]
    wanted = {node.name}
    if node.resolves:
        wanted.add(f"{node.name}-resolver")
    if node.edge_id is not None:
        wanted |= {f"{node.name}-{part}" for part in BESIDE if part != "net"}
    assert set(parts) == wanted


def test_an_edge_has_what_its_forwarder_cannot_set_there() -> None:
    """Settings of the kernel are read-only in a container; `all` stands for the backbone's interface."""
    wanted = {f"net.{name}".replace("/", ".") for name in required_sysctls("all", v6=True)}
    for edge in LAB.edges():
        settings = SERVICES[f"{edge.name}-net"]["sysctls"]
        assert {name for name in wanted if settings.get(name) != 1} == set()


def test_the_image_is_built_here_and_never_asked_of_a_registry() -> None:
    assert [name for name, one in SERVICES.items() if "build" in one] == ["secrets"]
    assert {(one["image"], one["pull_policy"]) for one in SERVICES.values()} == {
        (SERVICES["secrets"]["image"], "never")
    }


def test_an_edge_enrols_as_what_the_topology_says() -> None:
    for edge in LAB.edges():
        agent = " ".join(SERVICES[f"{edge.name}-agent"]["command"])
        assert f"--name {edge.name} --site {edge.site} " in agent
        assert f"--tunnel-v4 {LAB.backbone_address(edge.name)} " in agent
        found = re.search(r"--tunnel-v6 (\S+) --bird-protocol vip,vip6 ", agent)
        assert found is not None
        assert str(IPv6Address(found[1])) == backbone_address_v6(LAB, edge.name)
        assert f"--control https://{LAB.backbone_address('control')}:{CONTROL_PORT} " in agent
        assert agent.endswith(f"--outside-v4 {LAB.outside_address(edge.name)}")
        assert SERVICES[edge.name]["command"][-1] == f"http://{LAB.backbone_address('origin')}:{ORIGIN_PORT}"


def test_the_services_have_the_origins_of_the_topology() -> None:
    folder = Path("/srv/origin-tls")
    for origin in LAB.added_origins():
        service = SERVICES[f"origin-{origin.name}"]
        options = origin_options(LAB, origin, folder)
        assert service["command"] == ["origin", "--directory", "/srv/origin", *options]
        assert service["network_mode"] == "service:origin"
        assert service["profiles"] == ["services"]
        assert f"origin-{origin.name}" in SERVICES["publish"]["depends_on"]
    assert SERVICES["publish"]["command"] == ["lab", "container", "services"]


def test_the_phone_asks_the_same_resolvers() -> None:
    assert resolver_environment(LAB, "phone").items() <= SERVICES["phone"]["environment"].items()


def test_no_service_has_more_than_it_needs() -> None:
    for name, service in SERVICES.items():
        assert "privileged" not in service, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        carrier = any(name == node.name for node in LAB.carriers())
        wanted = next(
            (caps for end, caps in CAPABLE.items() if name.endswith(end)), ["NET_ADMIN"] if carrier else []
        )
        assert service.get("cap_add", []) == wanted, name
        assert (service["user"] == "0:900") == bool(wanted), name


def test_only_the_api_is_published_and_only_here() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"control": ["127.0.0.1:${SENNIT_PORT:-8443}:8443"]}


def test_mptcp_is_added_to_every_host_that_speaks_it() -> None:
    added = yaml.safe_load((ROOT / "compose.mptcp.yml").read_text())["services"]
    speakers = {"phone", *(edge.name for edge in LAB.edges())}
    assert set(added) == speakers | {f"{name}-net" for name in speakers}
    for name in speakers:
        assert added[f"{name}-net"]["sysctls"]["net.mptcp.pm_type"] == 1
        assert added[name]["cap_add"] == ["NET_ADMIN"]


def test_the_image_has_every_folder_that_the_secrets_are_written_to() -> None:
    """A new volume belongs to root unless the image has its folder, which belongs to the user of the daemons."""
    (made,) = [
        line for line in (ROOT / "Dockerfile").read_text().splitlines() if "install -d -o sennit" in line
    ]
    for volume in SERVICES["secrets"]["volumes"]:
        assert volume.split(":")[1] in made.split()
