"""The objects that live as long as one running control plane. Services take the ones that they need, not this."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from balancer.control.authentication.authenticator import Authenticator
from balancer.control.edges.enrolment import EnrolmentService
from balancer.control.edges.heartbeats import HeartbeatService
from balancer.control.edges.service import EdgeService
from balancer.control.figures.rings import FigureRings
from balancer.control.grants.book import GrantBook
from balancer.control.health.acknowledgement import Acknowledgements
from balancer.control.health.board import HealthBoard
from balancer.control.health.lease_sharing import LeaseSharing
from balancer.control.health.leases import Leases
from balancer.control.metrics.collector import ControlMetrics
from balancer.control.newest import NewestIds
from balancer.control.origins.board import OriginBoard
from balancer.control.overview.edges import EdgeOverview
from balancer.control.overview.services import ServiceOverview
from balancer.control.purges.watch import PurgeWatch
from balancer.control.registry.directory import EdgeDirectory
from balancer.control.rules import ControlRules
from balancer.control.services.published.acknowledgements import ServiceAcknowledgements
from balancer.control.services.published.publication import ServicePublication
from balancer.control.services.published.shield_sites import ShieldCatalogue
from balancer.control.services.rollout.engine import RolloutEngine
from balancer.control.services.sealing import SecretSeal
from balancer.control.storage.store import Store
from balancer.control.table.publication import Publication
from balancer.control.table.signing_key import SigningKeys
from balancer.control.table.timestamps import TimestampSigner
from balancer.control.table.watch import TableWatch
from balancer.control.table_key.rotation import KeyRotation


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The assembled parts; `app` provides each to endpoints by its class."""

    rules: ControlRules
    store: Store
    leases: Leases
    sharing: LeaseSharing | None
    directory: EdgeDirectory
    health: HealthBoard
    acknowledgements: Acknowledgements
    grants: GrantBook
    watch: TableWatch
    publication: Publication
    newest: NewestIds
    purges: PurgeWatch
    figures: FigureRings
    origins: OriginBoard
    seal: SecretSeal
    services: ServicePublication
    shield: ShieldCatalogue
    service_acknowledgements: ServiceAcknowledgements
    rollouts: RolloutEngine
    authenticator: Authenticator
    enrolments: EnrolmentService
    edges: EdgeService
    edge_overview: EdgeOverview
    service_overview: ServiceOverview
    heartbeats: HeartbeatService
    metrics: ControlMetrics
    keys: SigningKeys
    key_rotation: KeyRotation
    timestamps: TimestampSigner

    def parts(self) -> Iterator[object]:
        """Return every part."""
        return (getattr(self, field.name) for field in fields(self))
