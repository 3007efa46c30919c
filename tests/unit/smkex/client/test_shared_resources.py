"""What paths share: each kind, the words of a relay's uplink, and nothing where they share nothing."""

from dataclasses import replace

from smkex.client.shared_resources import PathFacts, find_shared_resources

CELL = PathFacts(0, "cell0", "cell0", "10.1.0.1", None, "192.0.2.1", 1, (64500,))
WIFI = PathFacts(1, "wifi0", "wifi0", "10.2.0.1", None, "198.51.100.1", 2, (64501,))
RELAY = PathFacts(1, "relay0", "cell0", "10.1.0.1", "203.0.113.7:51820", "203.0.113.7", 2, (64502,))


def kinds(*paths: PathFacts) -> dict[str, str]:
    return {each.kind: each.what for each in find_shared_resources(paths)}


def test_two_networks_share_nothing() -> None:
    assert find_shared_resources([CELL, WIFI]) == ()


def test_each_kind_is_found() -> None:
    assert kinds(CELL, replace(WIFI, ingress_id=1)) == {"ingress-edge": "1"}
    assert kinds(CELL, replace(WIFI, observed="192.0.2.9")) == {"client-prefix": "192.0.2.0/24"}
    assert kinds(CELL, replace(WIFI, observed="192.0.2.1")) == {"client-address": "192.0.2.1"}
    assert kinds(CELL, replace(WIFI, origins=(64500, 64501))) == {"as": "64500"}
    assert kinds(CELL, replace(WIFI, interface="cell0", leaves_by="cell0")) == {"interface": "cell0"}
    six = replace(CELL, observed="2001:db8:1::1"), replace(WIFI, observed="2001:db8:1:9::1")
    assert kinds(*six) == {"client-prefix": "2001:db8:1::/48"}


def test_one_next_hop_address_in_two_networks_is_not_one_next_hop() -> None:
    assert kinds(CELL, replace(WIFI, next_hop="10.1.0.1")) == {}


def test_the_uplink_under_a_relay_is_said_with_what_an_attacker_there_can_do() -> None:
    (shared,) = find_shared_resources([CELL, RELAY])
    assert (shared.kind, shared.what, shared.paths) == ("uplink", "cell0 by 10.1.0.1", (0, 1))
    assert "path 1 is inside WireGuard to relay 203.0.113.7:51820" in shared.text
    assert "can change path 0 alone, and can stop all" in shared.text


def test_two_relays_share_the_uplink_that_sees_neither() -> None:
    (shared,) = find_shared_resources(
        [replace(RELAY, path=0, interface="relay1", observed="192.0.2.77", ingress_id=3, origins=()), RELAY]
    )
    assert "sees none of them, and can stop all" in shared.text


def test_a_relay_by_another_network_shares_nothing() -> None:
    assert kinds(CELL, replace(RELAY, leaves_by="wifi0", next_hop="10.2.0.1")) == {}


def test_three_paths_are_named_by_their_numbers() -> None:
    third = replace(WIFI, path=2, interface="lte0", leaves_by="lte0", observed="10.9.9.9", origins=())
    (shared,) = find_shared_resources([CELL, WIFI, third])
    assert (shared.kind, shared.paths) == ("ingress-edge", (1, 2))
