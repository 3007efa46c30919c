"""Make the next catalogue of services out of a published generation: pure, so that it runs beside requests."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from edge.origins.tls import check_origins
from edge.services.active_service import NO_DEFAULTS, ActiveService, MakeOrigins, ServiceDefaults
from edge.services.catalogue import ServiceCatalogue, index_changes, index_services
from services.document import HttpService, parse_document
from services.published import PublishedService, ServiceGeneration
from services.published_file import RefusedService


@dataclass(frozen=True, slots=True)
class PreparedCatalogue:
    """A catalogue that is not in force yet, and what of its generation is refused."""

    catalogue: ServiceCatalogue
    refused: tuple[RefusedService, ...]


class _Preparation:
    """Services that are unchanged stay the same objects, with their connections and what they know of origins."""

    def __init__(
        self,
        before: ServiceCatalogue,
        kept: Mapping[str, PublishedService],
        make: MakeOrigins,
        defaults: ServiceDefaults,
    ) -> None:
        self._defaults = defaults
        self._before = before
        self._kept = kept
        self._make_origins = make
        self.active: dict[str, ActiveService] = {}
        self.reasons: dict[str, str] = {}

    def add_service(self, wanted: PublishedService) -> None:
        try:
            self.active[wanted.name] = self._activate(wanted)
        except ValueError as error:
            self.refuse(wanted.name, describe_fault(error))

    def refuse(self, name: str, reason: str) -> None:
        """Take what was in force before in place of the wanted revision, or nothing."""
        is_first = name not in self.reasons
        self.reasons.setdefault(name, reason)
        self.active.pop(name, None)
        before = self._before.services.get(name)
        kept = before.published if before is not None else self._kept.get(name)
        if is_first and kept is not None:
            try:
                self.active[name] = self._activate(kept)
            except ValueError:
                return

    def _activate(self, published: PublishedService) -> ActiveService:
        before = self._before.services.get(published.name)
        if before is not None and before.published == published:
            return before
        document = parse_document(published.document)
        if isinstance(document, HttpService):
            check_origins(document.origins, published.secrets)
        return ActiveService(
            published.name,
            published.revision,
            document,
            published.secrets,
            self._make_origins,
            self._defaults,
            published,
        )


def prepare_catalogue(
    wanted: ServiceGeneration,
    before: ServiceCatalogue,
    kept: Mapping[str, PublishedService],
    make_origins: MakeOrigins,
    defaults: ServiceDefaults = NO_DEFAULTS,
) -> PreparedCatalogue:
    """Return the catalogue of a generation.

    A service whose revision cannot be applied keeps the one before, which after a start is that of `kept`.
    """
    work = _Preparation(before, kept, make_origins, defaults)
    for service in wanted.services:
        work.add_service(service)
    hosts = index_changes(before, work.active)
    while hosts is None:
        whole, conflicts = index_services(work.active[name] for name in sorted(work.active))
        if not conflicts:
            hosts = whole
        for name, reason in conflicts.items():
            work.refuse(name, reason)
    catalogue = ServiceCatalogue(wanted.generation, work.active, hosts)
    revisions = {service.name: service.revision for service in wanted.services}
    refused = (
        RefusedService(name, revisions[name], reason, _published_of(work.active.get(name)))
        for name, reason in sorted(work.reasons.items())
    )
    return PreparedCatalogue(catalogue, tuple(refused))


def describe_fault(error: ValueError) -> str:
    """Return the first fault with its field."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    # the first element is the kind, by which pydantic tells the documents apart
    field = ".".join(map(str, first["loc"][1:]))
    return f"{field}: {first['msg']}" if field else first["msg"]


def _published_of(service: ActiveService | None) -> PublishedService | None:
    return service.published if service is not None else None
