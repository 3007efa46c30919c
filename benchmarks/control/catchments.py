"""How often a client's two paths enter at two edges: a simulation of anycast over two access networks.

A plane of cities with populations by Zipf's law. Edges stand in the largest cities first, several in one where there
are more edges than cities. An access network serves every city, but hands traffic over at few places (its gateways:
mobile networks have a handful a country, fixed ones many); anycast takes a packet from the gateway to an edge in the
city nearest to it. In a city with several edges, the two networks meet the same one by chance.
"""

import math
import random
from dataclasses import dataclass

CITIES = 2_000
MOBILE_GATEWAYS = 60
FIXED_GATEWAYS = 600


@dataclass(frozen=True, slots=True)
class City:
    x: float
    y: float
    people: float


def make_world(seed: int = 1) -> list[City]:
    """Cities, the largest first."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    return [City(chance.random(), chance.random(), 1 / rank) for rank in range(1, CITIES + 1)]


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Shares of all sessions: whose second path enters at another edge than the first, and in another city."""

    anywhere: float
    far: float


def count_forwarded(cities: list[City], edges: int, clients: int = 20_000, seed: int = 2) -> Forwarded:
    """Count sessions of clients that are drawn by population."""
    chance = random.Random(seed)  # noqa: S311
    homes = cities[: min(edges, len(cities))]
    each_city = max(1, edges // len(cities))
    mobile, fixed = cities[:MOBILE_GATEWAYS], cities[:FIXED_GATEWAYS]
    entries = {
        city: (
            _nearest_city(_nearest_city(city, mobile), homes),
            _nearest_city(_nearest_city(city, fixed), homes),
        )
        for city in cities
    }
    homes_of_clients = chance.choices(cities, [city.people for city in cities], k=clients)
    far = sum(entries[city][0] != entries[city][1] for city in homes_of_clients) / clients
    return Forwarded(far + (1 - far) * (1 - 1 / each_city), far)


def _nearest_city(city: City, among: list[City]) -> City:
    return min(among, key=lambda one: math.hypot(one.x - city.x, one.y - city.y))
