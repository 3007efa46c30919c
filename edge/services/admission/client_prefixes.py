"""Client addresses that may use a service: the most specific prefix that contains an address decides."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from services.access import Access

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class ClientPrefixes:
    """`allows` takes at most 33 or 129 look-ups, however many prefixes there are."""

    def __init__(self, access: Access) -> None:
        self._default = not access.allow
        self._is_empty = not access.allow and not access.deny
        self._verdicts: dict[int, dict[int, dict[int, bool]]] = {4: {}, 6: {}}
        self._add_prefixes(access.allow, True)
        self._add_prefixes(access.deny, False)
        self._lengths = {version: sorted(found, reverse=True) for version, found in self._verdicts.items()}

    def _add_prefixes(self, prefixes: Iterable[Network], verdict: bool) -> None:
        for prefix in prefixes:
            of_length = self._verdicts[prefix.version].setdefault(prefix.prefixlen, {})
            of_length[_leading_bits(prefix.network_address, prefix.prefixlen)] = verdict

    def allows(self, client: str) -> bool:
        """Return whether a client's address may use the service; an unknown one only without lists."""
        if self._is_empty:
            return True
        address = parse_client(client)
        if address is None:
            return False
        verdicts = self._verdicts[address.version]
        for length in self._lengths[address.version]:
            verdict = verdicts[length].get(_leading_bits(address, length))
            if verdict is not None:
                return verdict
        return self._default


def parse_client(client: str) -> Address | None:
    """Return the address of a client, None where it is unknown; IPv4-mapped addresses are IPv4."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _leading_bits(address: Address, length: int) -> int:
    return int(address) >> (address.max_prefixlen - length)
