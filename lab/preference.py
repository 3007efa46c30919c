"""Which of its neighbours a carrier takes the VIP's route from: by BGP's local preference, in BIRD's configuration."""

import re

from lab.errors import LabFailed

PREFERRED = 200  # BGP's own default is 100


def prefer_neighbour(configuration: str, neighbour: str) -> str:
    """The carrier's bird.conf, changed so that what `neighbour` says is preferred. Raises `LabFailed`."""
    block = re.compile(
        rf"(protocol bgp {re.escape(neighbour)}(?:_v6)? \{{.*?import )(filter \{{[^}}]*\}}|all);", re.DOTALL
    )
    changed, count = block.subn(rf"\1filter {{ bgp_local_pref = {PREFERRED}; accept; }};", configuration)
    if not count:
        raise LabFailed(f"no BGP session with {neighbour} in BIRD's configuration")
    return changed
