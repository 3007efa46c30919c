"""All services in force at one moment, by name and by host name; never changed, replaced whole."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from edge.http.request import url_cache_key
from edge.services.active_service import ActiveService
from edge.services.host_index import HostIndex, canonical_host


class Misdirected(Exception):
    """The server name of the session, or Host, belongs to no service here, or to two (RFC 9110 section 15.5.20)."""


class HostOwner(Protocol):
    """Finds the service of a canonical host."""

    def find_owner(self, host: str) -> ActiveService | None: ...


@dataclass(frozen=True, slots=True)
class _EveryHost:
    owner: ActiveService

    def find_owner(self, host: str) -> ActiveService | None:
        return self.owner


@dataclass(frozen=True, slots=True)
class ServiceCatalogue:
    """Generation 0 is an edge without a control plane: one service, which every name belongs to."""

    generation: int
    services: Mapping[str, ActiveService]
    hosts: HostOwner = field(repr=False)

    @classmethod
    def single(cls, service: ActiveService) -> "ServiceCatalogue":
        """The one service of an edge that has no others."""
        return cls(0, {service.name: service}, _EveryHost(service))

    @classmethod
    def empty(cls) -> "ServiceCatalogue":
        """No service: every request is misdirected."""
        return cls(0, {}, HostIndex())

    def log_shares(self) -> dict[str, float]:
        """Return the share of requests that is logged, of the services that do not log all."""
        documents = ((name, service.document) for name, service in self.services.items())
        return {
            name: document.log.sample for name, document in documents if document and document.log.sample < 1
        }

    def select_http(self, server_name: str, host: str) -> ActiveService:
        """Return the service of a request: Host and the session's server name, if any, belong to it.

        Both are canonical. Nothing but these names counts. Raises `Misdirected`.
        """
        service = self.hosts.find_owner(host)
        if service is None or not service.is_http:
            raise Misdirected("this host is not served here")
        if not self.may_ask(server_name, service):
            raise Misdirected("this host belongs to another service than the server name of the session")
        return service

    def may_ask(self, server_name: str, service: ActiveService) -> bool:
        """Return whether a session of this server name may use a service."""
        return not server_name or self.hosts.find_owner(server_name) is service

    def owner_name(self, server_name: str) -> str | None:
        """Return the name of the service that a session's server name belongs to, None where it belongs to none."""
        try:
            host = canonical_host(server_name) if server_name else ""
        except ValueError:
            return None
        service = self.hosts.find_owner(host)
        return service.name if service is not None else None

    def purged_key(self, url: str) -> str:
        """Return the key under which responses for an absolute URL are stored; raises `ValueError`."""
        key = url_cache_key(url)
        service = self.find_service(key.split(" ")[0])
        return service.stored_key(key) if service is not None else key

    def find_service(self, host: str) -> ActiveService | None:
        """Return the service of a Host field or a server name."""
        try:
            return self.hosts.find_owner(canonical_host(host))
        except ValueError:
            return None


def index_services(services: Iterable[ActiveService]) -> tuple[HostIndex[ActiveService], dict[str, str]]:
    """Return the index, and for each service that claims a host name of another the reason to refuse it.

    Services are taken in order of name; of a refused service no host name is in the index.
    """
    hosts: HostIndex[ActiveService] = HostIndex()
    refused: dict[str, str] = {}
    for service in services:
        assert service.document is not None
        names = service.document.hostnames
        owners = [(name, hosts.find_pattern(name)) for name in names]
        taken = next(((name, owner) for name, owner in owners if owner is not None), None)
        if taken is not None:
            refused[service.name] = f"hostnames: {taken[0]} belongs to the service {taken[1].name}"
            continue
        for name in names:
            hosts.add_pattern(name, service)
    return hosts, refused


def index_changes(
    before: ServiceCatalogue, services: Mapping[str, ActiveService]
) -> HostIndex[ActiveService] | None:
    """Return what `index_services` does, made from the index before by the services that are other objects than there.

    None where a host name belongs to two services: which of them is refused, only the whole says.
    """
    if not isinstance(before.hosts, HostIndex):
        return None
    hosts: HostIndex[ActiveService] = before.hosts.copy()
    for name, _ in _hostnames_missing(before.services, services):
        hosts.remove_pattern(name)
    for name, service in _hostnames_missing(services, before.services):
        owner = hosts.find_pattern(name)
        if owner is not None and owner is not service:
            return None
        hosts.add_pattern(name, service)
    return hosts


def _hostnames_missing(
    services: Mapping[str, ActiveService], others: Mapping[str, ActiveService]
) -> Iterator[tuple[str, ActiveService]]:
    """Return the host names of the services that are not among the others."""
    for service in services.values():
        if others.get(service.name) is not service:
            assert service.document is not None
            for name in service.document.hostnames:
                yield name, service
