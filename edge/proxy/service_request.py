"""A client's request for one service: what the proxy works with from its beginning to its end."""

from dataclasses import dataclass, replace
from typing import Self

from edge.cache.rules.lifetimes import without_directives
from edge.http.fields import Fields, Pairs
from edge.http.request import ClientRequest, reference_cache_key
from edge.services.active_service import ActiveService
from edge.services.admission.gate import NotAdmitted
from edge.services.admission.signed_urls import TokenRefused
from edge.services.cache_rule import CompiledRule
from edge.services.transforms.content_coding import ContentCodings
from services.transforms import Coding


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """`service` is the revision that was in force when the request came, `rule` the cache rule that matches.

    `key` identifies the response in the store, `url_key` all responses of the URL. `headers` go to the origin, as the
    service changes them; `fields` are the client's, by which the cache decides.
    """

    service: ActiveService
    rule: CompiledRule
    url_key: str
    key: str
    method: str
    target: bytes
    headers: Pairs
    fields: Fields
    client: str
    for_peer: bool = False
    own_key: str = ""  # where `key` is that of an equivalent URL (No-Vary-Search)

    @classmethod
    def of(
        cls, request: ClientRequest, service: ActiveService, *, for_peer: bool = False
    ) -> "ServiceRequest":
        """Route a request to its service. That of another edge was changed there, and its response will be."""
        rule = service.find_rule(request.method, request.target.decode("ascii"))
        url_key = service.key_prefix + rule.key.url_key(request.key)
        fields = request.fields if rule.client_directives else without_directives(request.fields)
        return cls(
            service,
            rule,
            url_key,
            url_key + rule.key.request_suffix(fields),
            request.method,
            request.target,
            request.headers if for_peer else service.origin_fields.change_fields(request.headers),
            fields,
            request.client,
            for_peer,
        )

    @property
    def coding(self) -> Coding | None:
        """The content coding that the client prefers of those that the service has."""
        return self.codings.choose_coding(self.fields) if self.codings is not None else None

    @property
    def codings(self) -> ContentCodings | None:
        """The content codings that the service adds; none for another edge, which adds them itself."""
        return None if self.for_peer else self.service.codings

    @property
    def host(self) -> str:
        """Host and port, canonical."""
        return self.fields.get("host", "")

    def with_headers(self, headers: Pairs) -> Self:
        """Return the request with other header lines for the origin."""
        return replace(self, headers=headers)

    def with_key(self, key: str) -> Self:
        """Return the request with the key of an equivalent URL's stored response."""
        return replace(self, key=key, own_key=self.key)

    def reference_key(self, reference: str) -> str | None:
        """Return the key of a Location or Content-Location's URL, None outside of this host; raises `ValueError`."""
        url = reference_cache_key(self.host, self.target, reference)
        return self.service.stored_key(url) if url.startswith(f"{self.host} ") else None


def verify_url(service: ActiveService, request: ClientRequest, now: float) -> ClientRequest:
    """Return the request without its token where URLs of the service are signed; raises `NotAdmitted`."""
    verifier = service.gate.verifier
    if verifier is None:
        return request
    host, _, target = request.key.partition(" ")
    try:
        return request.with_target(
            verifier.verify_request(host, target, request.fields.get("cookie", ""), now)
        )
    except TokenRefused as error:
        raise NotAdmitted(403, str(error)) from None
