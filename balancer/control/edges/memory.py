"""What memory holds of edges: lease, health, applied generation, withdrawal grant."""

from dataclasses import dataclass

from balancer.api.schemas import EdgeView, LeaseRequest
from balancer.control.figures.rings import FigureRings
from balancer.control.grants.book import GrantBook
from balancer.control.health.acknowledgement import Acknowledgements
from balancer.control.health.board import HealthBoard
from balancer.control.health.leases import Leases
from balancer.control.origins.board import OriginBoard
from balancer.control.purges.watch import PurgeWatch
from balancer.control.registry.table_state import table_state
from balancer.control.services.published.acknowledgements import ServiceAcknowledgements
from balancer.control.storage.records import EdgeRecord
from balancer.control.table.known_keys import KnownKeys
from balancer.control.table.watch import TableWatch


@dataclass(frozen=True, slots=True)
class EdgeMemory:
    """The state of edges that is not stored."""

    leases: Leases
    health: HealthBoard
    acknowledgements: Acknowledgements
    grants: GrantBook
    watch: TableWatch
    services: ServiceAcknowledgements
    purges: PurgeWatch
    figures: FigureRings
    origins: OriginBoard
    keys: KnownKeys

    def record_heartbeat(self, edge_id: int, heartbeat: LeaseRequest, age: float = 0.0) -> None:
        """Renew the lease, and record what the edge reports; `age` in seconds."""
        self.leases.renew(edge_id, heartbeat, age)
        self.health.record_heartbeat(edge_id, heartbeat)
        self.acknowledgements.note(edge_id, heartbeat.applied_generation, self.watch.generation)
        self.services.note(edge_id, heartbeat.services)
        self.purges.note_applied(edge_id, heartbeat.applied_purge)
        self.origins.note(edge_id, heartbeat.origins)
        self.keys.note(edge_id, heartbeat.table_keys)
        self.figures.record_report(edge_id, heartbeat.instance, heartbeat.figures)

    def forget_edge(self, edge_id: int) -> None:
        """Drop everything about a removed edge."""
        self.leases.forget(edge_id)
        self.health.forget(edge_id)
        self.acknowledgements.forget(edge_id)
        self.services.forget(edge_id)
        self.purges.forget_edge(edge_id)
        self.figures.forget_edge(edge_id)
        self.origins.forget(edge_id)
        self.keys.forget(edge_id)
        self.grants.give_back(edge_id)

    def view(self, edge: EdgeRecord) -> EdgeView:
        """Return an edge as the API shows it."""
        return EdgeView.model_validate(
            {
                "id": edge.id,
                "name": edge.name,
                "site": edge.site,
                "tunnel_v4": edge.tunnel_v4,
                "tunnel_v6": edge.tunnel_v6,
                "outside": edge.outside,
                "peer_key": edge.peer_key,
                "pending": edge.pending,
                "vip": edge.vip_name,
                "weight": edge.weight,
                "encapsulation": edge.encapsulation,
                "admin_state": edge.admin_state,
                "state": table_state(edge.admin_state, edge.alive),
                "enrolled_at": edge.enrolled_at,
                "health": self.health.view(edge.id),
                "lease": self.leases.view(edge.id, granted=edge.id in self.grants.holders()),
            }
        )
