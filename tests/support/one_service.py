"""The services of an edge without a control plane, or with one service for every name."""

from typing import Any

from edge.services.active_service import NO_DEFAULTS, ActiveService, ServiceDefaults
from edge.services.catalogue import ServiceCatalogue
from edge.services.directory import ServiceDirectory
from edge.services.origin_side import OriginSide
from edge.services.preparation import PreparedCatalogue
from services.document import parse_document

DOCUMENT: dict[str, Any] = {
    "hostnames": ["cdn"],
    "origins": [{"name": "main", "url": "http://origin"}],
}


def one_service(
    origins: OriginSide,
    defaults: ServiceDefaults = NO_DEFAULTS,
    document: dict[str, Any] | None = None,
    secrets: dict[str, str] | None = None,
) -> ServiceDirectory:
    """One service for every name, in front of `origins`; `document` has what differs from `DOCUMENT`."""
    made = ServiceDirectory(lambda service: origins, defaults)
    if document is None:
        made.use_default_service()
    else:
        put_in_force(made, document, secrets)
    return made


def put_in_force(
    directory: ServiceDirectory, document: dict[str, Any], secrets: dict[str, str] | None = None
) -> None:
    """Activate the next revision of the service."""
    before = directory.current.services.get("shop")
    revision = before.revision + 1 if before is not None else 1
    parsed = parse_document({**DOCUMENT, **document})
    service = ActiveService(
        "shop", revision, parsed, secrets or {}, directory.make_origins, directory.defaults
    )
    directory.activate(PreparedCatalogue(ServiceCatalogue.single(service), ()))
