"""An edge is believed about its tunnel address only within the prefixes that the operator declared."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from balancer.control.settings import PRIVATE_PREFIXES, ControlSettings
from runtime.errors import CommandError


@pytest.fixture
def limited(api: Any) -> Any:
    """A control plane with the default prefixes of `sennit control`."""
    enrolments = api.plane.enrolments
    prefixes = tuple(map(ip_network, PRIVATE_PREFIXES.split(",")))
    enrolments._rules = replace(enrolments._rules, tunnel_prefixes=prefixes)
    return api


@pytest.mark.parametrize(
    ("field", "address"),
    [("tunnel_v4", "8.8.8.8"), ("tunnel_v4", "198.51.100.7"), ("tunnel_v6", "2001:4860:4860::8888")],
)
async def test_a_victim_s_address_is_refused_at_enrolment_and_at_every_return(
    limited: Any, field: str, address: str
) -> None:
    token = await limited.token()
    refused = await limited.enrol(1, token=token, **{field: address})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (403, field)
    assert "tunnel_prefixes" in refused.json()["detail"]
    assert (await limited.table())["edges"] == []
    assert (await limited.enrol(1, token=token)).status_code == 201, "the token is not used up"
    before = await limited.table()
    moved = await limited.enrol(1, token="credential-1", **{field: address})
    assert moved.status_code == 403
    assert await limited.table() == before


async def test_within_the_prefixes_an_edge_may_ask_to_move(limited: Any) -> None:
    await limited.enrol(1)
    moved = await limited.enrol(1, token="credential-1", tunnel_v4="10.255.9.9", tunnel_v6="fd00::9")
    assert moved.status_code == 200
    assert moved.json()["edge"]["pending"]["tunnel_v6"] == "fd00::9"


async def test_what_was_pending_when_the_prefixes_became_narrower_is_not_accepted(limited: Any) -> None:
    await limited.enrol(1)
    moved = await limited.enrol(1, token="credential-1", tunnel_v4="10.255.9.9")
    pending = moved.json()["edge"]["pending"]
    enrolments = limited.plane.enrolments
    enrolments._rules = replace(enrolments._rules, tunnel_prefixes=(ip_network("10.255.0.0/24"),))
    wanted = {name: value for name, value in pending.items() if name != "reported_at"}
    answer = await limited.ask("POST", "/v1/edges/1/pending", wanted)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (403, "tunnel_v4")


@pytest.mark.parametrize("text", ["", ",", "10.0.0.1/8", "10.0.0.0/33", "backbone", "10.0.0.0/8,,x"])
def test_prefixes_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(CommandError, match="tunnel-prefixes"):
        ControlSettings.from_arguments(["--admin-token-file", "x", "--tunnel-prefixes", text])


def test_prefixes_of_both_families_are_read() -> None:
    settings = ControlSettings.from_arguments(
        ["--admin-token-file", "x", "--tunnel-prefixes", "198.51.100.0/24, 2001:db8:b::/48"]
    )
    assert settings.tunnel_networks == (ip_network("198.51.100.0/24"), ip_network("2001:db8:b::/48"))
