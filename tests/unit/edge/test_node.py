"""node.json: what the agent writes is understood, what makes no sense is refused with the field's name."""

from typing import Any

import pytest

from edge.node import NodeUnknown, Vip, parse


def node(**vip: Any) -> dict[str, Any]:
    usual = {"v4": "203.0.113.1", "v6": None, "locator": "port", "service_port": 443, "id_port_base": 10000}
    return {"edge_id": 7, "name": "edge7", "vip": {**usual, **vip}}


def test_a_vip_has_an_ipv6_address_or_none() -> None:
    assert parse(node()).vip == Vip("203.0.113.1", 443, 10000)
    assert parse(node(v6="2001:db8::0:1")).vip == Vip("203.0.113.1", 443, 10000, "2001:db8::1")


@pytest.mark.parametrize(
    ("vip", "said"),
    [
        ({"v6": "203.0.113.1"}, "203.0.113.1"),
        ({"v4": "2001:db8::1"}, "2001:db8::1"),
        ({"v4": None}, "None"),
        ({"locator": "address"}, "locator"),
        ({"id_port_base": 65530}, "has no port"),
        ({"service_port": "x"}, "x"),
    ],
)
def test_what_makes_no_sense_is_refused(vip: dict[str, Any], said: str) -> None:
    with pytest.raises(NodeUnknown, match=said):
        parse(node(**vip))
