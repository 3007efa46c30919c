"""The ring of a site: which of the edges behind one router takes a first subflow (Beamer, NSDI 2018).

Flows hash to buckets, and buckets to edges by weighted rendezvous hashing: every edge of the site computes the same
ring from the members' ids and weights, a change of members moves no bucket but those of the edges that change, and each
edge has buckets in proportion to its weight. Which flow is in which bucket depends on a seed that only edges know:
otherwise flows could be chosen that all load one edge.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

from balancer.model.table import ForwardingTable, Member, Site

BUCKETS = 4096
PUBLIC_SEED = (0x5E, 0)  # of rings that were made before seeds were secret
Seed = tuple[int, int]  # two words of 32 bits


@dataclass(frozen=True, slots=True)
class Bucket:
    """The owner of new flows, and the one before the last change, which has the flows without a socket at the owner."""

    owner: int
    previous: int


def compute_ring(site: Site) -> tuple[Bucket, ...]:
    """Compute all buckets."""
    current, previous = bucket_owners(site.current), bucket_owners(site.previous or site.current)
    return tuple(Bucket(*both) for both in zip(current, previous, strict=True))


def ring_of(edge_id: int, table: ForwardingTable) -> tuple[Bucket, ...]:
    """The ring of an edge's site, also of one that has just left it; empty where it is in none."""
    site = _find_site(edge_id, table)
    return compute_ring(site) if site else ()


def seeds_of(edge_id: int, table: ForwardingTable) -> tuple[Seed, Seed]:
    """Return the seed by which flows find their owner in this ring, and that of the owner before the last change."""
    site = _find_site(edge_id, table)
    if site is None:
        return PUBLIC_SEED, PUBLIC_SEED
    return _parse_seed(site.seed), _parse_seed(site.previous_seed)


def _find_site(edge_id: int, table: ForwardingTable) -> Site | None:
    for when in ("current", "previous"):
        for site in table.sites:
            if any(member.id == edge_id for member in getattr(site, when)):
                return site
    return None


def _parse_seed(text: str | None) -> Seed:
    return PUBLIC_SEED if text is None else (int(text[:8], 16), int(text[8:], 16))


@lru_cache(maxsize=64)
def bucket_owners(members: tuple[Member, ...]) -> tuple[int, ...]:
    """Each bucket's edge: the one with the highest score there."""
    takers = [member for member in members if member.weight]
    return tuple(
        max(takers, key=lambda member: (_rendezvous_score(bucket, member), member.id)).id
        for bucket in range(BUCKETS)
    )


def _rendezvous_score(bucket: int, member: Member) -> float:
    """Weighted rendezvous hashing: -w / ln(u), u uniform in (0, 1) by bucket and id."""
    digest = hashlib.blake2b(bucket.to_bytes(2, "big") + member.id.to_bytes(2, "big"), digest_size=6).digest()
    return -member.weight / math.log((int.from_bytes(digest, "big") + 0.5) / 2**48)
