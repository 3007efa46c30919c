"""What a link is made to be like, in each direction: delay, rate, and a finite queue before the rate."""

import re
from dataclasses import asdict, dataclass, replace
from typing import Any

FRAME = 1514  # bytes of a full-size Ethernet frame
QUEUE_SECONDS = 0.1  # that the queue holds where nothing else is said
QUEUE_LEAST = 64 * FRAME
DELAY_MOST = 10.0
RATE_LEAST = 10_000

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_BITS = {"": 1, "bit": 1, "k": 1e3, "kbit": 1e3, "m": 1e6, "mbit": 1e6, "g": 1e9, "gbit": 1e9}


@dataclass(frozen=True, slots=True)
class Impairment:
    """`delay` in seconds one way; `rate` in bits of frames a second, None for no limit; `queue` in bytes."""

    delay: float = 0.0
    rate: float | None = None
    queue: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.delay <= DELAY_MOST:
            raise ValueError(f"a delay is between 0 and {DELAY_MOST:g} s, not {self.delay:g} s")
        if self.rate is not None and self.rate < RATE_LEAST:
            raise ValueError(f"a rate is at least {RATE_LEAST} bit/s, not {self.rate:g}")

    @property
    def queue_bytes(self) -> int:
        """What may wait for the link, beside what is on its way."""
        return self.queue or max(QUEUE_LEAST, int((self.rate or 0) / 8 * QUEUE_SECONDS))

    def with_delay(self, delay: float) -> "Impairment":
        return replace(self, delay=max(0.0, delay))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        rate = f", {self.rate / 1e6:g} Mbit/s, queue {self.queue_bytes / 1000:.0f} kB" if self.rate else ""
        return f"{self.delay * 1000:g} ms one way{rate}"


def parse_seconds(text: str) -> float:
    """Read a time such as 2.5ms. Raises `ValueError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|ms|us)", text)
    if found is None:
        raise ValueError(f"a time is a number with s, ms or us, such as 2.5ms, not {text!r}")
    return float(found[1]) * _SECONDS[found[2]]


def parse_bits(text: str) -> float:
    """Read a rate such as 50Mbit. Raises `ValueError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]*)", text.lower().removesuffix("/s"))
    if found is None or found[2] not in _BITS:
        raise ValueError(f"a rate is a number with kbit, Mbit or Gbit, such as 50Mbit, not {text!r}")
    return float(found[1]) * _BITS[found[2]]
