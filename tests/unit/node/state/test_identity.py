"""node.json: what the agent writes is understood, what makes no sense is refused with the field's name."""

from typing import Any

import pytest

from node.state.identity import NodeUnknown, parse_identity
from node.vip import Vip


def node(**vip: Any) -> dict[str, Any]:
    usual = {
        "name": "main",
        "v4": "203.0.113.1",
        "v6": None,
        "locator": "port",
        "service_port": 443,
        "id_port_base": 10000,
    }
    return {"edge_id": 7, "name": "edge7", "vip": {**usual, **vip}}


def test_a_vip_has_an_ipv6_address_or_none() -> None:
    assert parse_identity(node()).vip == Vip("main", "203.0.113.1", None)
    assert parse_identity(node(v6="2001:db8::0:1")).vip == Vip("main", "203.0.113.1", "2001:db8::1")


def test_a_locator_is_a_port_of_the_vip_or_an_address_beside_it() -> None:
    assert parse_identity(node()).locator_of("203.0.113.1") == ("203.0.113.1", 10007)
    by_address = parse_identity(node(locator="address", v6="2001:db8:a::"))
    assert by_address.locator_of("203.0.113.1") == ("203.0.113.7", 443)
    assert by_address.locator_of("2001:db8:a::") == ("2001:db8:a::7", 443)


@pytest.mark.parametrize(
    ("vip", "said"),
    [
        ({"v6": "203.0.113.1"}, "v6"),
        ({"v4": "2001:db8::1"}, "v4"),
        ({"v4": None}, "v4"),
        ({"locator": "name"}, "locator"),
        ({"id_port_base": 65530}, "has no port"),
        ({"locator": "address", "v4": "203.0.113.7"}, "no address locator"),
        ({"locator": "address", "v6": "2001:db8::7"}, "no address locator"),
        ({"service_port": "x"}, "service_port"),
    ],
)
def test_what_makes_no_sense_is_refused(vip: dict[str, Any], said: str) -> None:
    with pytest.raises(NodeUnknown, match=said):
        parse_identity(node(**vip))
