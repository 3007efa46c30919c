"""How much is measured: enough to show something, or enough to see that it works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """Samples of each contender, and bytes of transfers."""

    setups: int = 200  # figure 13
    downloads: int = 10  # figure 14, of each size
    transfers: int = 9  # figure 8
    transfer_size: int = 256 << 20
    injection_sizes: tuple[int, ...] = (1_000_000, 1_000_000_000)  # figure 9


QUICK = SampleCounts(12, 2, 2, 32 << 20, (1_000_000,))
