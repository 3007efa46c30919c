"""Which edges shield services: those of the sites that active revisions name, as long as they are up.

The secret by which edges know each other is derived from the key that signs tables: all instances have it, and it is
stored nowhere.
"""

import json

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from balancer.api.shield import ShieldEdgeView, ShieldSitesView
from balancer.control.registry.directory import EdgeDirectory
from balancer.control.services.published.live import LiveServices
from balancer.control.table.signing_key import SigningKeys
from balancer.control.table.watch import TableWatch
from balancer.model.table import TableEdge

LABEL = b"sennit shield key v1"
_SHIELD = b'"shield":{'  # of canonical JSON: in a text, the quotes have backslashes


class ShieldCatalogue:
    """The shielding sites at this moment."""

    def __init__(
        self, keys: SigningKeys, live: LiveServices, directory: EdgeDirectory, table: TableWatch
    ) -> None:
        self._keys = keys
        self._live = live
        self._directory = directory
        self._table = table
        self._sites: tuple[int, frozenset[str]] = (-1, frozenset())

    def current_sites(self) -> ShieldSitesView:
        """Return the sites that shield, with their edges that are up and take sessions."""
        found: dict[str, list[ShieldEdgeView]] = {name: [] for name in sorted(self._shielding_sites())}
        for edge in self._directory.serving_edges(found) if found else ():
            entry = self._table.live.entries.get(("edge", str(edge.id)))
            address = (entry.tunnel_v4 or entry.tunnel_v6) if isinstance(entry, TableEdge) else None
            if address is not None:
                found[edge.site].append(ShieldEdgeView(id=edge.id, name=edge.name, address=address))
        return ShieldSitesView(key=self._derive_key().hex(), sites=found)

    def _derive_key(self) -> bytes:
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=LABEL)
        return derivation.derive(self._keys.current.private_bytes_raw())

    def _shielding_sites(self) -> frozenset[str]:
        generation, sites = self._sites
        if generation != self._live.generation:
            services = self._live.services.values()
            revisions = [each for one in services for each in (one.active, one.candidate) if each]
            documents = [json.loads(each.line)["document"] for each in revisions if _SHIELD in each.line]
            sites = frozenset(document["shield"]["site"] for document in documents if document.get("shield"))
            self._sites = self._live.generation, sites
        return sites
