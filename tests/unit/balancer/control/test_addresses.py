"""Addresses at the API's doors: unicast, and never both a VIP's and a tunnel's."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    "address", ["0.0.0.1", "127.0.0.1", "169.254.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"]
)
async def test_special_ipv4_addresses_are_neither_vips_nor_tunnels(api: Any, vip: Any, address: str) -> None:
    answer = await api.ask("POST", "/v1/vips", vip | {"name": "other", "v4": address})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "v4")
    answer = await api.enrol(1, tunnel_v4=address)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "tunnel_v4")


@pytest.mark.parametrize(
    "address", ["::ffff:10.255.0.2", "::10.0.0.1", "::1", "fe80::1", "ff02::1", "64:ff9b::1"]
)
async def test_special_ipv6_addresses_are_neither_vips_nor_tunnels(api: Any, vip: Any, address: str) -> None:
    answer = await api.ask("POST", "/v1/vips", vip | {"name": "other", "v4": None, "v6": address})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "v6")
    answer = await api.enrol(1, tunnel_v6=address)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "tunnel_v6")


async def test_a_vip_is_no_tunnel_address(api: Any) -> None:
    answer = await api.enrol(1, tunnel_v4="203.0.113.1")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "tunnel_v4")
    assert (await api.enrol(1)).status_code == 201
    answer = await api.enrol(1, "credential-1", tunnel_v4="203.0.113.1")
    assert answer.status_code == 409, "nor when an edge comes back"


@pytest.mark.parametrize(
    "change",
    [{"v4": "10.255.0.1"}, {"v4": "10.255.0.77", "locator": "address"}],
    ids=["its address", "among its locators"],
)
async def test_a_tunnel_address_is_no_vip(api: Any, vip: Any, change: dict[str, Any]) -> None:
    await api.enrol(1)
    answer = await api.ask("POST", "/v1/vips", vip | {"name": "other"} | change)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "v4")
