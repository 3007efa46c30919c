"""The node's state folder as the agent uses it: what it keeps across restarts, and what other daemons leave for it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancer.model.table import ForwardingTable
from balancer.model.table_file import TableFile, read_signed_table, store_table
from node.key_link import KeyLink
from node.state.boot_clock import BootMoment
from node.state.credential import Credential, read_credential, write_credential
from node.state.desired_state import (
    AdminState,
    DesiredState,
    DrainPhase,
    read_desired_state,
    write_desired_state,
)
from node.state.fast_open_keys import write_keys
from node.state.forwarder import read_applied_generation
from node.state.identity import NodeIdentity, find_identity, write_identity
from node.state.peer_key import own_peer_key
from node.state.purges import Purge, read_applied_purge, read_purges, write_purges
from node.state.shield import ShieldSites, write_shield_sites
from node.state.signs import read_timestamp, write_contact
from node.state.table_key import (
    FINGERPRINT,
    TableKeyUnknown,
    learn_keys,
    pin_table_key,
    promote_key,
    trusted_table_keys,
    verify_with_any,
)
from services.published import ServiceGeneration
from services.stored_changes import ServiceWriter, read_services


class NodeState:
    """The folder's files as values."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._table_file = TableFile(folder)
        self._services = ServiceWriter(folder)

    def credential(self) -> Credential | None:
        """Return the credential; ValueError where the file is damaged, for a new one would be another edge."""
        return read_credential(self.folder)

    def keep_credential(self, credential: Credential) -> None:
        write_credential(self.folder, credential)

    def peer_key(self) -> Ed25519PrivateKey:
        """Return this agent's own key, made at the first call; ValueError where the file is damaged."""
        return own_peer_key(self.folder)

    def vip_addresses(self) -> tuple[str, ...]:
        """Return the addresses of the VIP and of this node's own locators; none before it has enrolled."""
        node = find_identity(self.folder)
        return node.own_addresses if node else ()

    def keep_node(self, node: NodeIdentity) -> None:
        write_identity(self.folder, node)

    def table_keys(self) -> tuple[bytes, ...]:
        """Return the public keys that tables are believed by; raises `TableKeyUnknown`."""
        return trusted_table_keys(self.folder)

    def learn_keys(self, current: bytes, following: bytes | None, links: Sequence[KeyLink]) -> bool:
        """Keep the key that follows this node's; raises `TableKeyUnknown` where no link leads to it."""
        return learn_keys(self.folder, current, following, links)

    def key_fingerprints(self) -> list[str]:
        """Return the first digits of the keys that tables are believed by; none before there is one."""
        try:
            return [key.hex()[:FINGERPRINT] for key in self.table_keys()]
        except TableKeyUnknown:
            return []

    def promote_key(self) -> None:
        """Accept the following key alone."""
        promote_key(self.folder)

    def is_signed_with(self, key: bytes) -> bool:
        """Return whether the table and the services on disk are signed with this key."""
        try:
            read_signed_table(self.folder, (key,))
            if self.has_services():
                read_services(self.folder, (key,))
        except (OSError, ValueError):
            return False
        return True

    def keep_table_key(self, key: bytes) -> None:
        """Pin the first key; ValueError where another one is pinned: it may be a forger's."""
        pin_table_key(self.folder, key)

    def table(self) -> ForwardingTable | None:
        """Return the newest valid table on disk; None before there is one."""
        return self._table_file.read()

    def table_generation(self) -> int | None:
        """Return the generation of the last valid table."""
        table = self.table()
        return table.generation if table else None

    def table_json(self) -> dict[str, Any] | None:
        """Return the table with the fields that newer control planes add; None where it is invalid."""
        try:
            return read_signed_table(self.folder)
        except (OSError, ValueError):
            return None

    def keep_table(self, table: dict[str, Any], signature: bytes) -> None:
        store_table(self.folder, table, signature)

    def record_contact(self, timestamp: str) -> None:
        """Record that the control plane has just said, signed, what the newest table is: the forwarder may trust the
        one it has."""
        write_contact(self.folder, timestamp)

    def kept_timestamp(self) -> str:
        """Return the last signed timestamp, not verified; empty before the first."""
        return read_timestamp(self.folder)

    def services(self) -> ServiceGeneration:
        """Return the services on disk; raises OSError, ValueError."""
        return read_services(self.folder, self.table_keys())

    def has_services(self) -> bool:
        """Return whether the files of services are there, valid or not."""
        return self._services.is_stored()

    def verify_services(self, services: ServiceGeneration) -> None:
        """Raise `ForgedServices` unless the control plane signed them."""
        verify_with_any(self.table_keys(), services.verify)

    def keep_services(self, services: ServiceGeneration) -> None:
        """Hand the edge these services."""
        self._services.store(services)

    def keep_shield_sites(self, sites: ShieldSites) -> None:
        """Hand the edge the sites that shield services."""
        write_shield_sites(self.folder, sites)

    def purges(self) -> list[Purge]:
        """Return the purges that the edge was handed; none where the file is missing or damaged."""
        try:
            return read_purges(self.folder)
        except (OSError, ValueError):
            return []

    def keep_purges(self, purges: Sequence[Purge]) -> None:
        write_purges(self.folder, purges)

    def applied_purge(self) -> int | None:
        """Return the newest purge that the edge has applied; None where it has no cache."""
        return read_applied_purge(self.folder)

    def keep_fast_open_keys(self, keys: Sequence[str]) -> None:
        """Hand the edge the fleet's keys, newest first."""
        write_keys(self.folder, keys)

    def applied_generation(self) -> int | None:
        """Return what the forwarder has applied; None where it has not."""
        return read_applied_generation(self.folder)

    def desired_state(self) -> DesiredState:
        """Return what the operator last wanted of this edge: it holds while the control plane is away."""
        return read_desired_state(self.folder)

    def keep_desired_state(self, wanted: AdminState) -> None:
        """Keep what is wanted, and since when: a drain goes on where it was when the agent starts again."""
        if self.desired_state().admin_state is not wanted:
            write_desired_state(self.folder, DesiredState(wanted, BootMoment.now()))

    def keep_drain(self, phase: DrainPhase | None, rehomed_after: float | None = None) -> None:
        """Tell the edge, and the agent's next start, how far the drain has come."""
        now = self.desired_state()
        fresh = replace(now, drain=phase, rehomed_after=rehomed_after)
        if fresh != now:
            write_desired_state(self.folder, fresh)
