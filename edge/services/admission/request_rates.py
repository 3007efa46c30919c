"""Requests a second of each client prefix: token buckets in the table that all workers of the edge share."""

from math import ceil

from edge.services.admission.client_prefixes import parse_client
from edge.services.admission.rate_table import RateTable

V6_BITS = 64


class TokenBucket:
    """The bucket `key` of the table: `rate` tokens a second, `burst` at most; times are monotonic seconds."""

    __slots__ = ("_burst", "_interval", "_key", "_table", "_wait")

    def __init__(self, table: RateTable, key: int, rate: float, burst: int) -> None:
        self._table = table
        self._key = key
        self._interval = 1 / rate
        self._burst = burst
        self._wait = 0.0

    def take_token(self, now: float) -> bool:
        """Take a token; False if there is none."""
        self._wait = self._table.take_token(self._key, self._interval, self._burst, now)
        return not self._wait

    @property
    def retry_after(self) -> int:
        """Whole seconds until there is a token again, when none could be taken."""
        return max(1, ceil(self._wait))


class RequestRates:
    """The buckets of one service; a revision with the same limits goes on with them."""

    def __init__(self, table: RateTable, service: str, rate: float, burst: int) -> None:
        self._table = table
        self._service = service
        self._rate = rate
        self._burst = burst

    def bucket_of(self, client: str) -> TokenBucket:
        """Return the bucket of a client's /32 or /64; clients of unknown address share one."""
        key = self._table.hash_key(self._service, self._rate, self._burst, _prefix_of(client))
        return TokenBucket(self._table, key, self._rate, self._burst)


def _prefix_of(client: str) -> tuple[int, int]:
    address = parse_client(client)
    if address is None:
        return 0, 0
    return address.version, int(address) if address.version == 4 else int(address) >> (128 - V6_BITS)
