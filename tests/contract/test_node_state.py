"""docs/node-state.md: a row for each file of the state folder, and examples that are what the writers write."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from signed_table import TABLE_SIGNER, write_signed_table

from balancer.datapath.load.install import ForwarderInstall
from balancer.model.reference.tunnel import Ends
from balancer.model.table import ForwardingTable, TableEdge
from balancer.model.table_file import load_table
from node.state import catalogue
from node.state.boot_clock import BootMoment
from node.state.credential import Credential, read_credential, write_credential
from node.state.desired_state import (
    AdminState,
    DesiredState,
    DrainPhase,
    read_desired_state,
    write_desired_state,
)
from node.state.fast_open_keys import parse_keys, write_keys
from node.state.forwarder import (
    TunnelCounts,
    read_applied_generation,
    read_tunnel_counts,
    write_applied_generation,
    write_tunnel_counts,
)
from node.state.host_state import HostState, ItemState, read_host_state, write_host_state
from node.state.identity import NodeIdentity, find_identity, write_identity
from node.state.peer_key import read_peer_key, write_peer_key
from node.state.probe_results import ProbeResult, read_results, write_results
from node.state.purges import (
    Purge,
    read_applied_purge,
    read_purges,
    write_applied_purge,
    write_purges,
)
from node.state.shield import ShieldEdge, ShieldSites, read_shield_sites, write_shield_sites
from node.state.state_file import StateFile
from node.state.table_key import pin_table_key, read_table_key
from node.vip import Vip
from services.published import PublishedService, ServiceGeneration
from services.published_file import (
    AppliedServices,
    RefusedService,
    read_applied_services,
    store_services,
    write_applied_services,
)
from services.stored_changes import ServiceWriter, read_services

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "node-state.md").read_text()
VIP = Vip("main", "203.0.113.1", None)
BOTH = Vip("main", "203.0.113.1", "2001:db8:a::")
NODE = NodeIdentity(1, "edge1", BOTH)
TABLE = ForwardingTable(12, (VIP,), (TableEdge(1, "edge1", "10.255.0.1", None),))
MOMENT = BootMoment("5f0c1a7e9d2b4c68a1e3f5b7092d4e6f", 8123.4)
CREDENTIAL = Credential("o3u2V1nP0Yh0mG7bTj0mXwDqSg2k5bQ9aJcWk3xYv7E", 1)
WANTED = DesiredState(AdminState.DRAINING, MOMENT, DrainPhase.SHUTDOWN, 4.5)
PURGE = Purge(7, "https://cdn.example/a", None, 1780000000.0)
RESULT = ProbeResult("probe-service", True)
INSTALL = ForwarderInstall(
    1, ("eth0",), "wg0", Ends("10.255.0.1", None), VIP, no_xdp="veth has no driver mode"
)
KEY = TABLE_SIGNER.public_key().public_bytes_raw()
PEER_KEY = Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
)
FAST_OPEN = ["22" * 16, "11" * 16]
HOST = HostState(8123.4, (ItemState("sysctl net.ipv4.tcp_fwmark_accept", True, "0 instead of 1"),))
SIGNER = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
DOCUMENT = {
    "hostnames": ["www.example.org"],
    "kind": "http",
    "origins": [{"name": "eu", "url": "http://192.0.2.1"}],
}
SERVICES = ServiceGeneration.sign(SIGNER, 12, [PublishedService.of("shop", 3, DOCUMENT, {})])
MANY = ServiceGeneration.sign(
    SIGNER,
    12,
    [PublishedService.of(f"s{number}", 1, {**DOCUMENT, "hostnames": ["x"]}, {}) for number in range(32)],
)
CHANGED = ServiceGeneration.sign(
    SIGNER, 13, [PublishedService.of("shop", 4, DOCUMENT, {}), *MANY.services[1:]]
)
KEY_OF_SERVICES = SIGNER.public_key().public_bytes_raw()
IN_FORCE = AppliedServices(12, (RefusedService("shop", 4, "origins.0.tls.ca: not a certificate"),))
COUNTS = TunnelCounts(8123.4, {2: (1500, 2_100_000)})
SHIELD = ShieldSites(bytes(range(32)), {"ams": (ShieldEdge(1, "edge1", "10.255.0.1"),)})


def write_changes(state: Path) -> None:
    writer = ServiceWriter(state)
    writer.store(MANY)
    writer.store(CHANGED)


# per file: what the page's example means, and how it is written and read
EXAMPLES: dict[str, tuple[object, Callable[[Path], object], Callable[[Path], object]]] = {
    "credential.json": (CREDENTIAL, lambda at: write_credential(at, CREDENTIAL), read_credential),
    "node.json": (NODE, lambda at: write_identity(at, NODE), find_identity),
    "table.key": (KEY, lambda at: pin_table_key(at, KEY), read_table_key),
    "table.json": (TABLE, lambda at: write_signed_table(at, TABLE), load_table),
    "agent.json": (WANTED, lambda at: write_desired_state(at, WANTED), read_desired_state),
    "peer.key": (
        PEER_KEY.private_bytes_raw(),
        lambda at: write_peer_key(at, PEER_KEY),
        lambda at: read_peer_key(at).private_bytes_raw(),
    ),
    "services.json": (
        SERVICES,
        lambda at: store_services(at, SERVICES),
        lambda at: read_services(at, (KEY_OF_SERVICES,)),
    ),
    "services-changes.json": (CHANGED, write_changes, lambda at: read_services(at, (KEY_OF_SERVICES,))),
    "services-applied.json": (
        IN_FORCE,
        lambda at: write_applied_services(at, IN_FORCE),
        read_applied_services,
    ),
    "shield.json": (SHIELD, lambda at: write_shield_sites(at, SHIELD), read_shield_sites),
    "purges.json": ([PURGE], lambda at: write_purges(at, [PURGE]), read_purges),
    "purged.json": (7, lambda at: write_applied_purge(at, 7), read_applied_purge),
    "fast-open.keys": (
        tuple(map(bytes.fromhex, FAST_OPEN)),
        lambda at: write_keys(at, FAST_OPEN),
        lambda at: parse_keys(catalogue.FAST_OPEN_KEYS.read_text(at)),
    ),
    "contact": (
        MOMENT,
        lambda at: catalogue.CONTACT.write_object(at, {**MOMENT.to_json(), "timestamp": ""}),
        lambda at: BootMoment.from_json(catalogue.CONTACT.read_object(at)),
    ),
    "probes.json": (
        (RESULT,),
        lambda at: write_results(at, 8123.4, [RESULT]),
        lambda at: read_results(at, 8124.0),
    ),
    "forwarder.json": (INSTALL, INSTALL.write_file, ForwarderInstall.read),
    "applied.json": (12, lambda at: write_applied_generation(at, 12), read_applied_generation),
    "host.json": (HOST, lambda at: write_host_state(at, HOST), read_host_state),
    "traffic.json": (COUNTS, lambda at: write_tunnel_counts(at, COUNTS), read_tunnel_counts),
}
WITHOUT_CONTENT = {"agent.alive", "edge.sock", "host.lock"}


def row(file: StateFile) -> tuple[str, ...]:
    readers = ", ".join(daemon.value for daemon in file.readers)
    return (
        file.name,
        file.writer.value,
        file.folder,
        readers,
        f"{file.mode:04o}",
        "yes" if file.durable else "no",
    )


def test_the_page_has_a_row_for_each_file() -> None:
    rows = re.findall(
        r"^\| `(\S+)` \| (\w+) \| `([\w-]+)` \| ([\w, ]+) \| (\d{4}) \| (\w+) \| \S", PAGE, re.MULTILINE
    )
    assert rows == [row(file) for file in catalogue.ALL]


def test_the_catalogue_lists_each_file_that_it_names() -> None:
    named = {value for value in vars(catalogue).values() if isinstance(value, StateFile)}
    assert named == set(catalogue.ALL)
    assert set(EXAMPLES) | WITHOUT_CONTENT == {file.name for file in catalogue.ALL}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_is_what_its_writer_writes_and_its_reader_reads(name: str, tmp_path: Path) -> None:
    (example,) = re.findall(rf"^### {re.escape(name)}\n\n```\w+\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    value, write, read = EXAMPLES[name]
    write(tmp_path)
    (file,) = (each for each in catalogue.ALL if each.name == name)
    written = file.path_in(tmp_path)
    assert written.stat().st_mode & 0o777 == file.mode
    if name.endswith(".keys"):
        assert written.read_text() == example
    else:
        assert json.loads(written.read_text()) == json.loads(example)
    assert read(tmp_path) == value


def test_no_module_names_a_file_of_the_folder_by_itself() -> None:
    names = "|".join(re.escape(file.name) for file in catalogue.ALL)
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for package in ("runtime", "smkex", "edge", "balancer", "sennit")
        for path in sorted((ROOT / package).rglob("*.py"))
        for match in re.finditer(rf'/ f?"(?:{names})"', path.read_text())
    ]
    assert found == []
