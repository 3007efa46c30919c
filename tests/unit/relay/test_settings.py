"""Settings of the relay that cannot work are refused, each by its name."""

import pytest

from relay.server.firewall import relay_rules
from relay.server.settings import RelaySettings
from runtime.errors import CommandError

RIGHT = {"--endpoint": "198.51.100.7", "--prefix": "203.0.113.0/24"}


def read(**changes: str) -> RelaySettings:
    options = {**RIGHT, **{f"--{name.replace('_', '-')}": value for name, value in changes.items()}}
    return RelaySettings.from_arguments([word for pair in options.items() for word in pair])


def test_resolvers_over_tls_and_https_are_let_through_at_their_ports_alone() -> None:
    given = (
        "198.51.100.53",
        "tls://198.51.100.54#dns.example",
        "https://[2001:db8::53]:8443/dns-query#dns.example",
    )
    words = [word for each in given for word in ("--resolver", each)]
    settings = RelaySettings.from_arguments(
        ["--endpoint", "198.51.100.7", "--prefix", "203.0.113.0/24", "--network", "10.71.0.0/16", *words]
    )
    assert settings.resolver[1] == "tls://198.51.100.54:853#dns.example"
    rules = relay_rules(settings).splitlines()
    assert [line for line in rules if line.startswith("set resolvers_")] == [
        "set resolvers_tcp4 { type ipv4_addr . inet_service; elements = { 198.51.100.53 . 53, 198.51.100.54 . 853 }; }",
        "set resolvers_tcp6 { type ipv6_addr . inet_service; elements = { 2001:db8::53 . 8443 }; }",
        "set resolvers_udp4 { type ipv4_addr . inet_service; elements = { 198.51.100.53 . 53 }; }",
        "set resolvers_udp6 { type ipv6_addr . inet_service; }",
    ]


def test_endpoints_of_both_families_share_the_port() -> None:
    settings = RelaySettings.from_arguments(
        ["--endpoint", "198.51.100.7", "--endpoint", "2001:db8::7", "--prefix", "203.0.113.0/24"]
    )
    assert [(str(address), port) for address, port in settings.endpoints] == [
        ("198.51.100.7", 51820),
        ("2001:db8::7", 51820),
    ]
    assert settings.source_nat


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("endpoint", "relay.example", "--endpoint: endpoint: not an address"),
        ("prefix", "0.0.0.0/0", "is everything, not a CDN's"),
        ("prefix", "203.0.113.7/24", "not a prefix in its canonical form"),
        ("prefix", "10.71.9.0/24", "--network 10.71.0.0/16 overlaps 10.71.9.0/24"),
        ("resolver", "10.71.0.9", "overlaps 10.71.0.9"),
        ("resolver", "tls://10.71.0.9#dns.example", "overlaps 10.71.0.9"),
        ("resolver", "tls://dns.example", "dns.example is not an address"),
        ("port", "0", "not a port or FIRST-LAST"),
        ("port", "500-400", "not a port or FIRST-LAST"),
        ("port", "443 80", "not a port or FIRST-LAST"),
        ("network", "10.71.0.0/29", "has no room for --max-peers 250"),
        ("interface", "sennit relay", "not an interface's name"),
        ("interface", "a-name-of-16-let", "not an interface's name"),
        ("name", "Paris", "name: not a name"),
        ("mtu", "1279", "greater than or equal to 1280"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(name: str, value: str, words: str) -> None:
    with pytest.raises(CommandError, match=r"^--") as caught:
        read(**{name: value})
    assert words in str(caught.value)
