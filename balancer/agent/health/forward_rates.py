"""How much this edge forwards to each other edge: rates from the forwarder's counters, for the heartbeat."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from balancer.api.health import ForwardRate
from balancer.api.numbers import LARGEST_NUMBER
from node.state.forwarder import read_tunnel_counts

RATES_LIMIT = 64  # of the busiest: a heartbeat stays small
STALE = 10.0  # seconds between two counts, beyond which a rate says nothing of now


class ForwardRateMeter:
    """Compares `traffic.json`, which `sennit forwarder run` writes, with what it was at the last heartbeat."""

    def __init__(self, state: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._state, self._clock = state, clock
        self._at = 0.0
        self._sent: Mapping[int, tuple[int, int]] = {}
        self._rates: list[ForwardRate] = []

    def rates(self) -> list[ForwardRate]:
        """The busiest first. Nothing where the file is not there, makes no sense, is old, or is the first."""
        counts = read_tunnel_counts(self._state)
        if counts is None or self._clock() - counts.at > STALE:
            return []
        if counts.at != self._at:
            self._rates = self._since_last(counts.at, counts.sent)
            self._at, self._sent = counts.at, counts.sent
        return self._rates

    def _since_last(self, at: float, sent: Mapping[int, tuple[int, int]]) -> list[ForwardRate]:
        seconds = at - self._at
        if not 0 < seconds < STALE:
            return []
        found = []
        for edge, (packets, size) in sent.items():
            packets_before, size_before = self._sent.get(edge, (0, 0))
            if packets > packets_before:  # counters begin anew when programs are loaded
                bits = round((size - size_before) * 8 / seconds)
                found.append(
                    ForwardRate(
                        edge_id=edge,
                        packets_per_second=min(round((packets - packets_before) / seconds), LARGEST_NUMBER),
                        bits_per_second=min(max(0, bits), LARGEST_NUMBER),
                    )
                )
        return sorted(found, key=lambda rate: rate.bits_per_second, reverse=True)[:RATES_LIMIT]
