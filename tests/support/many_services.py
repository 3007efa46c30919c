"""Services of an edge, published and activated by a test."""

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.services.active_service import ActiveService
from edge.services.catalogue import ServiceCatalogue
from edge.services.origin_side import OriginSide
from edge.services.preparation import PreparedCatalogue, prepare_catalogue
from services.published import PublishedService, ServiceGeneration

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN = {"name": "main", "url": "http://origin.example"}


class NoOrigins:
    """Origins that no test asks; remembers whether it was closed."""

    def __init__(self, service: ActiveService) -> None:
        self.service = service
        self.closed = False

    def request(self, *values: Any, **named: Any) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed = True


def publish_service(name: str, revision: int = 1, **document: Any) -> PublishedService:
    """A service of kind http, by default with the host name `NAME.example`."""
    whole = {"hostnames": [f"{name}.example"], "origins": [ORIGIN], **document}
    return PublishedService.of(name, revision, whole, {})


def sign_generation(number: int, *services: PublishedService) -> ServiceGeneration:
    """A generation signed with `KEY`."""
    return ServiceGeneration.sign(KEY, number, services)


def prepare_services(
    *services: PublishedService,
    number: int = 1,
    before: ServiceCatalogue | None = None,
    kept: dict[str, PublishedService] | None = None,
    make_origins: Callable[[ActiveService], OriginSide] = NoOrigins,
) -> PreparedCatalogue:
    """The catalogue of a generation of `services`."""
    before = before or ServiceCatalogue.empty()
    return prepare_catalogue(sign_generation(number, *services), before, kept or {}, make_origins)
