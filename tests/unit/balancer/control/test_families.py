"""Every edge forwards to every other, so every two must share a version of IP."""

from typing import Any

import pytest

V4, V6 = {"tunnel_v4": "10.255.0.7", "tunnel_v6": None}, {"tunnel_v4": None, "tunnel_v6": "fd00::7"}


@pytest.mark.parametrize(("first", "second"), [(V4, V6), (V6, V4)])
async def test_an_edge_that_shares_no_version_of_ip_with_another_is_refused(
    api: Any, first: dict[str, Any], second: dict[str, Any]
) -> None:
    token = await api.token()
    assert (await api.enrol(1, **first)).status_code == 201
    refused = await api.enrol(2, token, **second)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:sennit:problem:no-common-family")
    assert "edge1" in refused.json()["detail"]
    both = V4 | {"tunnel_v4": "10.255.0.8", "tunnel_v6": "fd00::8"}
    assert (await api.enrol(2, token, **both)).status_code == 201, "the token is not used up"
    assert len((await api.table())["edges"]) == 2


async def test_a_change_that_leaves_no_common_version_is_refused(api: Any) -> None:
    await api.enrol(1, **V4)
    await api.enrol(2, tunnel_v4="10.255.0.8", tunnel_v6="fd00::8")
    assert (await api.enrol(2, "credential-2", tunnel_v4=None, tunnel_v6="fd00::8")).status_code == 409
    assert (await api.edge(2))["pending"] is None
    assert (await api.enrol(1, "credential-1", **V4)).status_code == 200, "a start changes nothing"
    await api.enrol(1, "credential-1", **(V4 | {"tunnel_v6": "fd00::7"}))
    pending = (await api.edge(1))["pending"]
    del pending["reported_at"]
    assert (await api.ask("POST", "/v1/edges/1/pending", pending)).status_code == 200
    assert (await api.enrol(2, "credential-2", tunnel_v4=None, tunnel_v6="fd00::8")).status_code == 200
