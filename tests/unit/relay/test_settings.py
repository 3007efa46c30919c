"""Settings of the relay that cannot work are refused, each by its name."""

import pytest

from relay.server.settings import RelaySettings
from runtime.errors import CommandError

RIGHT = {"--endpoint": "198.51.100.7", "--prefix": "203.0.113.0/24"}


def read(**changes: str) -> RelaySettings:
    options = {**RIGHT, **{f"--{name.replace('_', '-')}": value for name, value in changes.items()}}
    return RelaySettings.from_arguments([word for pair in options.items() for word in pair])


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
