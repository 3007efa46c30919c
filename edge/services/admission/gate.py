"""Whether a connection and a request may use a service: required mode and paths, prefixes, rates, signed URLs."""

from collections.abc import Mapping

from edge.services.admission.client_prefixes import ClientPrefixes
from edge.services.admission.pacing import SessionPacer
from edge.services.admission.rate_table import RateTable
from edge.services.admission.request_rates import RequestRates, TokenBucket
from edge.services.admission.signed_urls import UrlVerifier, read_keys
from edge.services.served_connection import ServedConnection
from services.access import Access, Limits, Required, SignedUrls


class NotAdmitted(Exception):
    """The edge answers with `status` and the text, and `retry_after` seconds where there are any."""

    def __init__(self, status: int, text: str, retry_after: int = 0) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after


class ServiceGate:
    """The conditions of one service, whose name is the first of `names`; `rates` is shared by the edge's workers.

    Raises `ValueError` for a secret that is missing, or no key.
    """

    def __init__(
        self,
        required: Required,
        access: Access,
        limits: Limits,
        secrets: Mapping[str, str],
        names: tuple[str, ...],
        rates: RateTable | None = None,
    ) -> None:
        self._modes = frozenset(required.modes)
        self._both_paths = required.both_paths
        self._prefixes = ClientPrefixes(access)
        self._rates: RequestRates | None = None
        if limits.requests_per_second is not None:
            service = names[0] if names else ""
            table = rates or RateTable.private()
            self._rates = RequestRates(table, service, limits.requests_per_second, limits.burst)
        self._session_rate = limits.session_bytes_per_second
        self.is_limited = limits.requests_per_second is not None or self._session_rate is not None
        self.verifier = _make_verifier(access.signed_urls, secrets, names)

    def check_connection(self, connection: ServedConnection) -> None:
        """Raise `NotAdmitted` unless a client may use the service over this connection."""
        if self._modes and connection.mode not in self._modes:
            raise NotAdmitted(403, f"this service requires mode {' or '.join(sorted(self._modes))}")
        if self._both_paths and not connection.path_confirmed():
            raise NotAdmitted(403, "this service requires a session whose second path is confirmed")
        if not self._prefixes.allows(connection.client):
            raise NotAdmitted(403, "this service is not for this client")

    def find_bucket(self, client: str) -> TokenBucket | None:
        """Return the bucket that requests of a client take from, None without a limit."""
        return self._rates.bucket_of(client) if self._rates is not None else None

    def make_pacer(self) -> SessionPacer | None:
        """Return a pacer for one connection, None without a limit."""
        return SessionPacer(self._session_rate) if self._session_rate is not None else None


def check_rate(bucket: TokenBucket | None, now: float) -> None:
    """Take a token for one request; raises `NotAdmitted`."""
    if bucket is not None and not bucket.take_token(now):
        raise NotAdmitted(429, "too many requests", bucket.retry_after)


def _make_verifier(
    signed: SignedUrls | None, secrets: Mapping[str, str], names: tuple[str, ...]
) -> UrlVerifier | None:
    if signed is None:
        return None
    for number, name in enumerate(signed.keys):
        if name not in secrets:
            raise ValueError(f"access.signed_urls.keys.{number}: the secret {name} is missing")
        try:
            read_keys([secrets[name]])
        except ValueError as error:
            raise ValueError(f"access.signed_urls.keys.{number}: {error}") from None
    return UrlVerifier(signed.issuers, read_keys(secrets[name] for name in signed.keys), names)
