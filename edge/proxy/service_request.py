"""A client's request for one service: what the proxy works with from its beginning to its end."""

from dataclasses import dataclass, replace
from typing import Self

from edge.http.fields import Fields, Pairs
from edge.http.request import ClientRequest, reference_cache_key
from edge.services.active_service import ActiveService


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """`service` is the revision that was in force when the request came; `key` identifies the response in the store."""

    service: ActiveService
    key: str
    method: str
    target: bytes
    headers: Pairs
    fields: Fields
    client: str

    @classmethod
    def of(cls, request: ClientRequest, service: ActiveService) -> "ServiceRequest":
        """Route a request to its service."""
        return cls(
            service,
            service.cache_key(request),
            request.method,
            request.target,
            request.headers,
            request.fields,
            request.client,
        )

    @property
    def host(self) -> str:
        """Host and port, canonical."""
        return self.fields.get("host", "")

    def with_headers(self, headers: Pairs) -> Self:
        """Return the request with other header lines for the origin."""
        return replace(self, headers=headers)

    def reference_key(self, reference: str) -> str | None:
        """Return the key of a Location or Content-Location, None outside of this host; raises `ValueError`."""
        key = reference_cache_key(self.host, self.target, reference)
        return self.service.key_prefix + key if key.startswith(f"{self.host} ") else None
