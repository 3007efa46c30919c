"""One service as it is in force: a revision of its document, compiled for requests.

A request holds the one that it was given from its beginning to its end, whatever is activated meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.services.admission.gate import ServiceGate
from edge.services.admission.rate_table import RateTable
from edge.services.cache_rule import CompiledRule, RuleList
from edge.services.origin_side import OriginSide
from edge.services.served_connection import ServedConnection
from edge.services.transforms.content_coding import ContentCodings
from edge.services.transforms.field_changes import FieldChanges
from edge.services.transforms.redirect_list import RedirectList
from services.access import Access, Limits, Required
from services.document import HttpService, TcpService
from services.published import PublishedService

DEFAULT_NAME = ""  # of the only service of an edge without a control plane

MakeOrigins = Callable[["ActiveService"], OriginSide]


@dataclass(frozen=True, slots=True)
class ServiceDefaults:
    """What services take from their edge: settings where a document says nothing, and the table of request rates."""

    negative_seconds: float = 0
    rates: RateTable | None = None  # shared by the edge's workers


NO_DEFAULTS = ServiceDefaults()


class ActiveService:
    """A revision in force. `document` is None for `--upstream`, the service that every name belongs to.

    Origins are made at the first request, and closed once the revision is replaced and its last request has ended.
    """

    def __init__(
        self,
        name: str,
        revision: int,
        document: HttpService | TcpService | None,
        secrets: dict[str, str],
        make_origins: MakeOrigins,
        defaults: ServiceDefaults = NO_DEFAULTS,
        published: PublishedService | None = None,
    ) -> None:
        self.published = published
        self.name = name
        self.revision = revision
        self.document = document
        self.secrets = secrets
        self.key_prefix = f"{name}|" if name else ""
        rules = document.cache if isinstance(document, HttpService) else ()
        self._rules = RuleList(rules, defaults.negative_seconds)
        self.gate = _make_gate(document, name, secrets, defaults.rates)
        http = document if isinstance(document, HttpService) else None
        self.redirects = RedirectList(http.redirects if http is not None else ())
        self.origin_fields = FieldChanges(http.headers.origin if http is not None else ())
        compression = http.compression if http is not None else None
        self.codings = ContentCodings(compression) if compression is not None else None
        self.client_fields = FieldChanges(http.headers.client if http is not None else ())
        self._make_origins = make_origins
        self._origins: OriginSide | None = None
        self._requests = 0
        self._on_idle: Callable[[OriginSide], Any] | None = None

    def admit_connection(self, connection: ServedConnection) -> None:
        """Admit a connection once, as long as no other service is asked over it; raises `NotAdmitted`.

        The server name has been checked.
        """
        if connection.admitted is self:
            return
        connection.admitted = None
        self.gate.check_connection(connection)
        connection.is_limited = self.gate.is_limited
        connection.bucket = self.gate.find_bucket(connection.client)
        pacer, connection.pacer = connection.pacer, self.gate.make_pacer()
        if pacer is not None and connection.pacer is not None:
            connection.pacer.continue_from(pacer)
        connection.admitted = self

    @property
    def is_http(self) -> bool:
        return not isinstance(self.document, TcpService)

    @property
    def origins(self) -> OriginSide:
        """The origins, made when they are first needed."""
        if self._origins is None:
            self._origins = self._make_origins(self)
        return self._origins

    def find_rule(self, method: str, target: str) -> CompiledRule:
        """Return the cache rule of a request; `target` is canonical."""
        return self._rules.find_rule(method, target.partition("?")[0])

    def stored_key(self, url: str) -> str:
        """Return what the keys of all responses for a URL (host and target) begin with: two services share none."""
        return self.key_prefix + self.find_rule("GET", url.partition(" ")[2]).key.url_key(url)

    # --- life of the revision

    def begin_request(self) -> None:
        """Keep the origins open until `end_request`."""
        self._requests += 1

    def end_request(self) -> None:
        self._requests -= 1
        self._release_origins()

    def retire(self, on_idle: Callable[[OriginSide], Any]) -> None:
        """Give the origins to `on_idle` once no request uses them."""
        self._on_idle = on_idle
        self._release_origins()

    def _release_origins(self) -> None:
        if self._on_idle is not None and not self._requests and self._origins is not None:
            origins, self._origins = self._origins, None
            self._on_idle(origins)


def _make_gate(
    document: HttpService | TcpService | None, name: str, secrets: dict[str, str], rates: RateTable | None
) -> ServiceGate:
    if document is None:
        return ServiceGate(Required(), Access(), Limits(), {}, ())
    names = (name, *document.hostnames)
    return ServiceGate(document.required, document.access, document.limits, secrets, names, rates)
