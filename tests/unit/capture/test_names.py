"""Which hosts go by sessions, and which addresses stand for them: none is captured for two names."""

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.names import NAME_LIMIT, STAND_INS, Address, CapturedNames
from smkex.transport.routes.host_name import InvalidHostName

VIP = ip_address("203.0.113.1")


class Zone:
    """A resolver's answers, and what was captured."""

    def __init__(self, **answers: tuple[str, ...]) -> None:
        self.answers = {name.replace("_", "."): found for name, found in answers.items()}
        self.asked: list[str] = []
        self.captured: set[Address] = set()

    async def resolve(self, name: str) -> tuple[Address, ...]:
        self.asked.append(name)
        if name not in self.answers:
            raise OSError(f"no address of {name}")
        return tuple(map(ip_address, self.answers[name]))

    def names(self, *patterns: str) -> CapturedNames:
        return CapturedNames(patterns, self.resolve, self.captured.add)


async def test_a_name_is_answered_with_its_own_addresses_and_they_are_captured() -> None:
    zone = Zone(cdn_lab=("203.0.113.1", "2001:db8::1"))
    names = zone.names("CDN.lab.")
    assert await names.resolve_exact() == {}
    assert await names.addresses_of("cdn.lab") == (VIP, ip_address("2001:db8::1"))
    assert zone.captured == {VIP, ip_address("2001:db8::1")}
    assert names.host_at(VIP) == "cdn.lab"
    assert zone.asked == ["cdn.lab"]  # and not again within a minute


async def test_names_that_share_an_address_are_distinguished_by_one_that_is_routed_nowhere() -> None:
    zone = Zone(db_lab=("203.0.113.1",), ssh_lab=("203.0.113.1",), web_lab=("203.0.113.1",))
    names = zone.names("*.lab")
    first, second, third = [(await names.addresses_of(name))[0] for name in ("db.lab", "ssh.lab", "web.lab")]
    assert first == VIP
    assert second != third
    assert {second in STAND_INS, third in STAND_INS} == {True}
    assert [names.host_at(at) for at in (first, second, third)] == ["db.lab", "ssh.lab", "web.lab"]
    assert zone.captured == {first, second, third}
    assert await names.addresses_of("ssh.lab") == (second,)


async def test_an_address_that_moves_to_another_name_stays_the_firsts() -> None:
    zone = Zone(a_lab=("203.0.113.1",), b_lab=("203.0.113.2",))
    names = zone.names("*.lab")
    await names.addresses_of("a.lab")
    await names.addresses_of("b.lab")
    zone.answers["a.lab"] = ("203.0.113.2",)
    names._known["a.lab"].expires = 0
    (moved,) = await names.addresses_of("a.lab")
    assert moved in STAND_INS
    assert names.host_at(ip_address("203.0.113.2")) == "b.lab"
    assert names.host_at(VIP) == "a.lab"  # a program may still have it
    assert VIP in zone.captured


async def test_an_address_is_captured_at_once_and_is_its_own_host() -> None:
    zone = Zone()
    names = zone.names("203.0.113.1", "2001:db8::1")
    assert names.host_at(VIP) == "203.0.113.1"
    assert zone.captured == {VIP, ip_address("2001:db8::1")}
    assert not names.exact


async def test_what_cannot_be_resolved_is_reported_and_asked_for_again() -> None:
    zone = Zone()
    names = zone.names("cdn.lab")
    assert [str(error) for error in (await names.resolve_exact()).values()] == ["no address of cdn.lab"]
    zone.answers["cdn.lab"] = ("203.0.113.1",)
    assert await names.addresses_of("cdn.lab") == (VIP,)


async def test_names_are_bounded() -> None:
    zone = Zone()
    names = zone.names("*.lab")
    for number in range(NAME_LIMIT):
        zone.answers[f"n{number}.lab"] = ("203.0.113.1",)
    names._known = {f"n{number}.lab": None for number in range(NAME_LIMIT)}  # type: ignore[misc]
    with pytest.raises(OSError, match="too many names"):
        await names.addresses_of("one-more.lab")


@pytest.mark.parametrize("pattern", ["", "a b", "[ab].lab", "203.0.113.*", "cdn.?"])
def test_what_is_neither_a_name_nor_a_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidHostName):
        Zone().names(pattern)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30))
async def test_whatever_is_resolved_each_answer_leads_back_to_its_name(steps: list[tuple[int, int]]) -> None:
    zone = Zone()
    names = zone.names("*.lab")
    for name, address in steps:
        zone.answers[f"n{name}.lab"] = (str(IPv4Address("203.0.113.0") + address),)
        if f"n{name}.lab" in names._known:
            names._known[f"n{name}.lab"].expires = 0
        for answer in await names.addresses_of(f"n{name}.lab"):
            assert names.host_at(answer) == f"n{name}.lab"
            assert answer in zone.captured


async def test_other_hosts_take_the_place_of_the_first() -> None:
    zone = Zone(a_lab=("203.0.113.1",), b_lab=("203.0.113.1",), c_lab=("203.0.113.3",))
    names = zone.names("*.lab", "192.0.2.1")
    for name in ("a.lab", "b.lab", "c.lab"):
        await names.addresses_of(name)
    stand_in = (await names.addresses_of("b.lab"))[0]
    with pytest.raises(InvalidHostName):
        names.replace_patterns(["b.lab", "203.0.113.*"])
    assert names.host_at(ip_address("192.0.2.1")) == "192.0.2.1"  # unchanged
    names.replace_patterns(["b.lab", "192.0.2.2"])
    assert names.host_at(stand_in) == "b.lab"
    assert names.host_at(VIP) is None
    assert names.claims(VIP)  # still an address of b.lab, which is not to be reached any other way
    assert [names.claims(ip_address(at)) for at in ("203.0.113.3", "192.0.2.1", "192.0.2.2")] == [
        False,
        False,
        True,
    ]
    assert [names.includes(host) for host in ("a.lab", "b.lab", "192.0.2.1", "192.0.2.2")] == [
        False,
        True,
        False,
        True,
    ]
