"""The table's JSON: what is written is read, and what is wrong is refused by the name of its field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.model.table import EdgeState, Encapsulation, ForwardingTable, Member, Site, TableEdge
from node.vip import Locator, Vip

V4 = st.integers(0x0A000001, 0x0AFFFFFE).map(lambda n: f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}")
EDGES = st.builds(
    TableEdge,
    id=st.integers(1, 55535),
    name=st.text("abc-1", min_size=1, max_size=8),
    tunnel_v4=st.one_of(st.none(), V4),
    tunnel_v6=st.one_of(st.none(), st.just("2001:db8::1")),
    state=st.sampled_from(EdgeState),
    encapsulation=st.sampled_from(Encapsulation),
)
VIPS = st.builds(
    Vip,
    name=st.text("vw", min_size=1, max_size=4),
    v4=V4,
    v6=st.none(),
    service_port=st.integers(1, 9000),
    locator=st.sampled_from(Locator),
    id_port_base=st.integers(9000, 65534),
)
TABLES = st.builds(
    ForwardingTable,
    generation=st.integers(0, 2**63 - 1),
    vips=st.lists(VIPS, max_size=2, unique_by=lambda vip: vip.v4).map(tuple),
    edges=st.lists(
        EDGES,
        max_size=4,
        unique_by=(
            lambda e: e.id,
            lambda e: e.name,
            lambda e: e.tunnel_v4 or object(),
            lambda e: e.tunnel_v6 or object(),
        ),
    ).map(tuple),
)


@given(table=TABLES)
def test_what_is_written_is_read(table: ForwardingTable) -> None:
    assert ForwardingTable.from_json(json.loads(json.dumps(table.to_json()))) == table


def good() -> dict[str, Any]:
    vip = {
        "name": "main",
        "v4": "203.0.113.1",
        "v6": None,
        "service_port": 443,
        "locator": "port",
        "id_port_base": 10000,
    }
    edge = {"id": 1, "name": "edge1", "tunnel_v4": "10.255.0.1", "tunnel_v6": None, "state": "up"}
    return {"generation": 7, "vips": [vip], "edges": [edge]}


@pytest.mark.parametrize(
    ("where", "field", "value"),
    [
        (None, "generation", -1),
        (None, "generation", True),
        (None, "generation", "7"),
        (None, "edges", {}),
        (None, "vips", None),
        ("edges", "id", 0),
        ("edges", "id", 55536),
        ("edges", "name", ""),
        ("edges", "tunnel_v4", "10.255.0.256"),
        ("edges", "tunnel_v4", "224.0.0.1"),
        ("edges", "tunnel_v4", "127.0.0.1"),
        ("edges", "tunnel_v4", "2001:db8::1"),
        ("edges", "tunnel_v6", "10.0.0.1"),
        ("edges", "state", "asleep"),
        ("edges", "encapsulation", "mpls"),
        ("vips", "v4", None),
        ("vips", "locator", "cookie"),
        ("vips", "id_port_base", 65535),
        ("vips", "service_port", 10001),
    ],
)
def test_a_wrong_field_is_named(where: str | None, field: str, value: object) -> None:
    table = good()
    (table if where is None else table[where][0])[field] = value
    with pytest.raises(ValueError, match=field):
        ForwardingTable.from_json(table)


@pytest.mark.parametrize("field", ["id", "name", "tunnel_v4"])
def test_two_edges_share_nothing(field: str) -> None:
    table = good()
    table["edges"].append(
        {"id": 2, "name": "edge2", "tunnel_v4": "10.255.0.2", "tunnel_v6": None, "state": "up"}
    )
    assert len(ForwardingTable.from_json(table).edges) == 2
    table["edges"][1][field] = table["edges"][0][field]
    with pytest.raises(ValueError, match=f"edges.{field}"):
        ForwardingTable.from_json(table)


@pytest.mark.parametrize(
    ("sites", "field"),
    [
        ({}, "sites"),
        ([{"name": "a", "current": []}], "current"),
        ([{"name": "a", "current": [{"id": 1, "weight": 0}]}], "current"),
        ([{"name": "a", "current": [{"id": 1, "weight": -1}]}], "weight"),
        ([{"name": "a", "current": [{"id": 0, "weight": 1}]}], "id"),
        ([{"name": "a", "current": [{"id": 1, "weight": 1}], "previous": {}}], "previous"),
        ([{"name": name, "current": [{"id": 1, "weight": 1}]} for name in "ab"], "sites.current"),
    ],
)
def test_a_wrong_site_is_named(sites: object, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        ForwardingTable.from_json(good() | {"sites": sites})


def test_sites_are_written_and_read_and_absent_where_there_are_none() -> None:
    table = ForwardingTable(1, sites=(Site("a", (Member(1), Member(2, 3)), (Member(1),)),))
    assert ForwardingTable.from_json(json.loads(json.dumps(table.to_json()))) == table
    assert "sites" not in ForwardingTable(1).to_json()


def test_a_table_of_an_older_control_plane_has_ip_in_ip_tunnels() -> None:
    assert ForwardingTable.from_json(good()).edges[0].encapsulation is Encapsulation.IPIP


@given(
    junk=st.recursive(
        st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_junk_is_a_value_error(junk: object) -> None:
    with pytest.raises(ValueError):
        ForwardingTable.from_json(junk)
