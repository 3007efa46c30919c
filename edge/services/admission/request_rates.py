"""Requests a second of each client prefix: token buckets in a bounded table."""

from collections import OrderedDict
from math import ceil

from edge.services.admission.client_prefixes import parse_client

BUCKETS_LIMIT = 65_536  # of one service and worker; the longest unused goes first
V6_BITS = 64


class TokenBucket:
    """`rate` tokens a second, `burst` at most; times are monotonic seconds."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = now

    def take_token(self, now: float) -> bool:
        """Take a token; False if there is none."""
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def retry_after(self) -> int:
        """Whole seconds until there is a token again."""
        return max(1, ceil((1 - self._tokens) / self._rate))


class RequestRates:
    """The buckets of one service."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[int, TokenBucket] = OrderedDict()

    def bucket_of(self, client: str, now: float) -> TokenBucket:
        """Return the bucket of a client's /32 or /64; clients of unknown address share one."""
        key = _prefix_key(client)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, self._burst, now)
            if len(self._buckets) > BUCKETS_LIMIT:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket

    def __len__(self) -> int:
        return len(self._buckets)


def _prefix_key(client: str) -> int:
    address = parse_client(client)
    if address is None:
        return -1
    return int(address) if address.version == 4 else (1 << 128) | int(address) >> (128 - V6_BITS)
