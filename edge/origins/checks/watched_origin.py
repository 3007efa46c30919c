"""One origin that is checked: how many checks in a row succeeded or failed, and when it was last in use."""

import logging
import time
from dataclasses import dataclass, field

from edge.origins.origin_state import OriginState
from services.origins import HealthCheck, Origin
from smkex.http.connection import OpenStream

log = logging.getLogger("edge.origins")


@dataclass(eq=False)
class WatchedOrigin:
    """Results are applied to `state`. Times are those of the monotonic clock, in seconds."""

    service: str
    origin: Origin
    check: HealthCheck
    state: OriginState
    open_stream: OpenStream = field(repr=False)
    last_used: float = 0.0
    scheduled: bool = False
    closed: bool = False
    _rising: int = 0
    _falling: int = 0

    def record_result(self, failure: str | None) -> None:
        """Record a check: `failure` says why it failed, None that it succeeded."""
        if failure is None:
            self._rising, self._falling = self._rising + 1, 0
            if self._rising >= self.check.rise and self.state.ill:
                self.state.mark_checked()
                log.info("origin healthy: service %s, origin %s", self.service, self.origin.name)
            return
        self._rising, self._falling = 0, self._falling + 1
        if self._falling < self.check.fall:
            return
        if not self.state.ill:
            log.warning("origin ill: service %s, origin %s: %s", self.service, self.origin.name, failure)
        self.state.mark_ill(failure, time.monotonic())

    def forget_results(self) -> None:
        """Begin anew: results that nothing renews say nothing."""
        self._rising = self._falling = 0
        self.state.mark_checked()
