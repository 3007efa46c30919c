"""Sign what the newest numbers are, and when: once a second at most, however many edges ask."""

from collections.abc import Callable

from balancer.control.clock import Clock
from balancer.control.newest import NewestIds
from balancer.control.table.live import LiveTable
from balancer.control.table.signing_key import SigningKeys
from balancer.model.timestamp import LIFETIME, Timestamp


class TimestampSigner:
    """Makes the header of answers to edges that follow the table; `services` returns their newest generation."""

    def __init__(
        self,
        clock: Clock,
        keys: SigningKeys,
        table: LiveTable,
        services: Callable[[], int],
        newest: NewestIds,
    ) -> None:
        self._clock = clock
        self._keys = keys
        self._table = table
        self._services = services
        self._newest = newest
        self._signed: tuple[Timestamp, object, str] | None = None

    def current_header(self) -> str:
        """Return the value of the header."""
        following = self._keys.public.following
        timestamp = Timestamp(
            int(self._clock.now().timestamp()),
            LIFETIME,
            self._table.generation,
            self._services(),
            self._newest.purge,
            following.hex() if following else "",
        )
        key = self._keys.current
        if self._signed is None or self._signed[:2] != (timestamp, key):
            self._signed = timestamp, key, timestamp.sign(key)
        return self._signed[2]
