"""Limit guesses of tokens: how often one source may show a token that nothing here knows."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address, ip_network

from balancer.control.http.problems import Refusal

BURST = 30  # at once: a fleet behind one address that starts with old credentials
REFILL = 2.0  # seconds a guess
SOURCES = 4096  # kept, the most recent: a source is an IPv4 address or an IPv6 /64


class GuessLimiter:
    """Token buckets (GCRA) of sources that guessed of late. Time is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()

    def check_source(self, host: str) -> None:
        """Refuse a source that has used up its guesses; Refusal 429."""
        waits = self._until.get(_source_of(host), 0.0) - self._clock() - (BURST - 1) * REFILL
        if waits > 0:
            detail = f"too many unknown tokens came from this address: try again in {waits:.0f} s"
            raise Refusal(429, "too-many-guesses", detail, field="authorization")

    def record_guess(self, host: str) -> None:
        """Charge a source for an unknown token."""
        source, now = _source_of(host), self._clock()
        self._until[source] = max(self._until.pop(source, 0.0), now) + REFILL
        while len(self._until) > SOURCES:
            self._until.popitem(last=False)


def _source_of(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host  # a unix socket's peer
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else str(address)
