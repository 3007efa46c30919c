"""The shield over real TLS on loopback: one request at the origin for all edges, and never trusted from outside."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from loopback import until
from origin_groups import LiveOrigin
from scripted_server import Asked, answer
from shielded_edges import KEY, FleetEdge, shielded_edges

from edge.cache.storage.purge_scope import PurgeScope
from edge.origins.selection import HashedUrl
from edge.origins.shield.fleet_identity import NAME, FleetIdentity
from edge.origins.shield.invalidations import SHIELD_INVALIDATE_FIELD
from node.state.shield import ShieldSites

PURGED = PurgeScope(urls=("shop|cdn /a",))


def let_store(origin: LiveOrigin, *fields: str) -> None:
    async def script(asked: Asked) -> list[bytes]:
        await asyncio.sleep(0.05)
        if origin.silent:
            await asyncio.Event().wait()
        return [answer("body", "cache-control: max-age=60", *fields, status=origin.status)]

    origin.server.script = script


def shield_of(edges: list[FleetEdge], sites: ShieldSites, path: str = "/a") -> FleetEdge:
    chosen = HashedUrl().choose(sites.sites["ams"], f"shop|cdn {path}")
    return next(each for each in edges if each.edge == chosen)


async def test_three_edges_ask_the_origin_once(tmp_path: Path) -> None:
    async with shielded_edges(tmp_path) as (edges, origin, sites):
        let_store(origin, "cache-tag: all, news")
        answers = await asyncio.gather(*(each.get() for each in edges for _ in range(20)))
        assert {(one.status_code, one.text) for one in answers} == {(200, "body")}
        assert len(origin.asked) == 1
        shield = shield_of(edges, sites)
        assert origin.asked[0].fields["cdn-loop"].split(", ")[-1] == f"{shield.edge.name}.sennit"
        # stored at each: none asks another any more
        await until(lambda: not any(each.proxy.fetches.busy for each in edges))
        for each in edges:
            assert "hit" in (await each.get()).headers["cache-status"].split(",")[-1]
        assert "cache-tag" not in answers[0].headers  # clients are not given it, edges are
        asking = next(each for each in edges if each is not shield)
        assert asking.proxy._store.find("shop|cdn /a", {}) is not None
        [stored] = asking.proxy._store.load("shop|cdn /a")
        assert stored.fields["cache-tag"] == "all, news"


async def test_the_origin_sees_the_client_and_not_the_edge(tmp_path: Path) -> None:
    async with shielded_edges(tmp_path) as (edges, origin, sites):
        shield = shield_of(edges, sites)
        asking = next(each for each in edges if each is not shield)
        found = await asking.get(sennit_shield_client="192.0.2.66", x_forwarded_for="192.0.2.66")
        assert found.status_code == 200
        [asked] = origin.asked
        assert asked.fields["x-forwarded-for"] == "127.0.0.1"  # of the test's client
        assert asked.fields["cdn-loop"] == f"{asking.edge.name}.sennit, {shield.edge.name}.sennit".lower()
        assert not [name for name in asked.fields if name.startswith("sennit-shield")]


@pytest.mark.parametrize("trouble", ["dead", "unknown service", "another fleet key"])
async def test_the_origin_is_asked_directly_when_the_shield_fails(tmp_path: Path, trouble: str) -> None:
    async with shielded_edges(tmp_path) as (edges, origin, sites):
        shield = shield_of(edges, sites)
        asking = next(each for each in edges if each is not shield)
        if trouble == "dead":
            await shield.follower.stop()
        elif trouble == "unknown service":
            await shield.services.close()
        else:
            await shield.learn_sites(replace(sites, key=bytes(32)))
        assert (await asking.get()).status_code == 200
        assert origin.asked[0].fields["cdn-loop"] == f"{asking.edge.name}.sennit"


async def test_what_was_purged_does_not_come_back_from_a_shield_that_is_behind(tmp_path: Path) -> None:
    async with shielded_edges(tmp_path) as (edges, origin, sites):
        let_store(origin)
        shield = shield_of(edges, sites)
        asking = next(each for each in edges if each is not shield)
        await asking.get()
        await until(lambda: not any(each.proxy.fetches.busy for each in edges))
        await asking.proxy._store.purge(1, PURGED)
        await asking.get()
        assert len(origin.asked) == 2
        assert origin.asked[1].fields["cdn-loop"] == f"{asking.edge.name}.sennit"
        await until(lambda: not any(each.proxy.fetches.busy for each in edges))
        # once the purge is there, the shield is asked again
        await shield.proxy._store.purge(1, PURGED)
        await asking.proxy._store.invalidate(["shop|cdn /a"])
        await asking.get()
        assert len(origin.asked) == 3
        assert f"{shield.edge.name}.sennit" in origin.asked[2].fields["cdn-loop"]


async def test_an_origin_that_fails_at_the_shield_is_asked_from_the_edge(tmp_path: Path) -> None:
    async with shielded_edges(tmp_path) as (edges, origin, sites):
        asking = next(each for each in edges if each is not shield_of(edges, sites))
        origin.kill()
        assert (await asking.get()).status_code == 502
        origin.port = 0
        await origin.start()
        asking.serve_document({"origins": [{"name": "main", "url": f"http://127.0.0.1:{origin.port}"}]})
        assert (await asking.get()).status_code == 200


async def test_a_status_of_the_origin_passes_the_shield(tmp_path: Path) -> None:
    async with shielded_edges(tmp_path) as (edges, origin, sites):
        asking = next(each for each in edges if each is not shield_of(edges, sites))
        origin.status = "503 Unavailable"
        assert (await asking.get()).status_code == 503
        assert len(origin.asked) == 1


async def test_edges_that_disagree_on_the_shield_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Each takes the other for the shield: at most one hop, whatever arrives while both fetch."""
    async with shielded_edges(tmp_path, count=2) as (edges, origin, sites):
        let_store(origin)
        one, other = sites.sites["ams"]
        await edges[0].learn_sites(replace(sites, sites={"ams": (other,)}))
        await edges[1].learn_sites(replace(sites, sites={"ams": (one,)}))
        for each in edges:  # they keep listening as before
            own = replace(sites, sites={"ams": sites.sites["ams"][2:], "own": (each.edge,)})
            peers = each.peers._known
            await each.learn_sites(own)
            each.peers.apply_sites(peers)
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*(each.get() for each in edges for _ in range(10)))
        assert {one.status_code for one in answers} == {200}
        assert 1 <= len(origin.asked) <= 2
        assert all(len(asked.fields["cdn-loop"].split(",")) <= 2 for asked in origin.asked)


async def test_requests_that_are_not_misses_of_the_cache_go_to_the_origin_directly(tmp_path: Path) -> None:
    async with shielded_edges(tmp_path) as (edges, origin, sites):
        asking = next(each for each in edges if each is not shield_of(edges, sites))
        await asking.client.post("/a", content=b"form")
        assert origin.asked[0].fields["cdn-loop"] == f"{asking.edge.name}.sennit"


def let_count(origin: LiveOrigin, *fields: str) -> None:
    """Let the body say how many unsafe requests have come."""
    changes = 0

    async def script(asked: Asked) -> list[bytes]:
        nonlocal changes
        changes += asked.method == "POST"
        more = fields if asked.method == "POST" else ()
        return [answer(f"state {changes}", "cache-control: max-age=60", 'cache-groups: "all"', *more)]

    origin.server.script = script


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ("/a", ()),
        ("/form", ("location: /a",)),
        ("/form", ("content-location: http://cdn/a",)),
        ("/form", ('cache-group-invalidation: "all"',)),
    ],
)
async def test_what_an_unsafe_request_changes_does_not_come_back_from_the_shield(
    tmp_path: Path, changed: str, fields: tuple[str, ...]
) -> None:
    async with shielded_edges(tmp_path) as (edges, origin, sites):
        let_count(origin, *fields)
        shield = shield_of(edges, sites)
        asking, other = (each for each in edges if each is not shield)
        assert (await asking.get()).text == "state 0"
        await until(lambda: not any(each.proxy.fetches.busy for each in edges))
        await asking.client.post(changed, content=b"form")
        assert (await asking.get()).text == "state 1"
        assert (await other.get()).text == "state 1"
        assert f"{shield.edge.name}.sennit" in origin.asked[-1].fields["cdn-loop"]


async def test_a_shield_that_missed_an_invalidation_is_asked_again_once_it_has_it(tmp_path: Path) -> None:
    async with shielded_edges(tmp_path, members=1) as (edges, origin, sites):
        let_count(origin)
        shield, asking, _ = edges
        assert (await asking.get()).text == "state 0"
        await until(lambda: not any(each.proxy.fetches.busy for each in edges))
        await shield.follower.stop()
        await asking.client.post("/a", content=b"form")
        await shield.learn_sites(ShieldSites(KEY, {}))
        await shield.learn_sites(sites)  # it is there again, with its old copy
        assert (await asking.get("/a")).text == "state 1"
        await until(lambda: asking.peers.choose_peer("ams", "any") is not None, 10)
        await asking.proxy._store.invalidate(["shop|cdn /a"])
        assert (await asking.get()).text == "state 1"
        assert f"{shield.edge.name}.sennit" in origin.asked[-1].fields["cdn-loop"]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"urls": [1], "groups": [], "host_key": ""}'],
    ids=["nothing", "a list", "no fields", "no text", "nested", "a number"],
)
async def test_what_is_no_invalidation_is_refused(tmp_path: Path, body: bytes) -> None:
    async with shielded_edges(tmp_path) as (edges, _, sites):
        shield = shield_of(edges, sites)
        asking = next(each for each in edges if each is not shield)
        let_through = asking.peers.choose_peer("ams", "shop|cdn /a")
        assert let_through is not None
        fields = [("host", "shield"), (SHIELD_INVALIDATE_FIELD, "?1")]
        async with let_through.client.request("POST", b"/", fields, one_part(body)) as refused:
            assert refused.status == 400


async def one_part(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def test_header_rules_are_applied_once(tmp_path: Path) -> None:
    rules = {
        "origin": [{"action": "add", "name": "x-rule", "value": "o"}],
        "client": [{"action": "add", "name": "x-rule", "value": "c"}],
    }
    async with shielded_edges(tmp_path, headers=rules) as (edges, origin, sites):
        asking = next(each for each in edges if each is not shield_of(edges, sites))
        found = await asking.get()
        assert found.headers.get_list("x-rule") == ["c"]
        assert origin.asked[0].fields["x-rule"] == "o"


@pytest.mark.parametrize("attacker", ["no certificate", "another key", "no TLS", "TLS 1.2"])
async def test_only_an_edge_of_the_fleet_is_answered(tmp_path: Path, attacker: str) -> None:
    async with shielded_edges(tmp_path) as (edges, origin, _):
        tls: ssl.SSLContext | None = ssl.create_default_context()
        assert tls is not None
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        if attacker == "another key":
            tls = FleetIdentity(bytes(32)).client
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        elif attacker == "TLS 1.2":
            tls = FleetIdentity(KEY).client
            tls.minimum_version, tls.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
        elif attacker == "no TLS":
            tls = None
        said = b""
        try:
            reader, writer = await asyncio.open_connection(
                edges[0].edge.address, edges[0].peers._port, ssl=tls, server_hostname=NAME if tls else None
            )
            writer.write(b"GET /a HTTP/1.1\r\nhost: cdn\r\n\r\n")
            said = await asyncio.wait_for(reader.read(), 5)
            writer.close()
        except (OSError, ssl.SSLError):
            pass
        assert b"HTTP/1.1 200" not in said
        assert not origin.asked


async def test_an_edge_sends_nothing_to_a_server_that_has_not_the_fleets_key(tmp_path: Path) -> None:
    async with shielded_edges(tmp_path, members=2) as (edges, _, sites):
        shield = shield_of(edges, sites)
        asking = next(each for each in edges if each is not shield)
        await shield.follower.stop()
        heard: list[bytes] = []

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(100))
            writer.close()

        server = await asyncio.start_server(
            listen, shield.edge.address, shield.peers._port, ssl=FleetIdentity(bytes(32)).server
        )
        assert (await asking.get(cookie="secret")).status_code == 200
        server.close()
        assert not heard


def test_the_identity_is_the_same_at_every_edge() -> None:
    one, other = FleetIdentity(KEY).client.get_ca_certs(True), FleetIdentity(KEY).client.get_ca_certs(True)
    assert one == other != FleetIdentity(bytes(32)).client.get_ca_certs(True)


async def test_one_id_and_one_trace_lead_from_the_client_through_the_shield_to_the_origin(
    tmp_path: Path,
) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    async with shielded_edges(tmp_path) as (edges, origin, sites):
        let_store(origin)
        shield = shield_of(edges, sites)
        asking = next(each for each in edges if each is not shield)
        found = await asking.get(traceparent=f"00-{trace}-{parent}-01")
        request_id = found.headers["x-request-id"]
        assert found.status_code == 200
        await until(lambda: not any(each.proxy.fetches.busy for each in edges))
        lines = {each.edge.id: await each.read_log() for each in edges}
        figures = [each.telemetry.figures.of_service("shop") for each in edges]
    [asked] = origin.asked
    assert asked.fields["x-request-id"] == request_id
    assert asked.fields["sennit-session"] == "mode=, transport=, owner=0"  # of the test's client
    version, got, span, flags = asked.fields["traceparent"].split("-")
    assert (version, got, flags) == ("00", trace, "01")
    assert span != parent
    [own], [shielded] = lines[asking.edge.id], lines[shield.edge.id]
    assert own["request_id"] == shielded["request_id"] == request_id
    assert own["trace_id"] == shielded["trace_id"] == trace
    assert (own["via"], shielded["via"]) == (None, "shield")
    assert (own["service"], shielded["service"]) == ("shop", "shop")
    assert (shielded["client"], shielded["mode"]) == ("127.0.0.1", "shield")
    assert own["origin"].startswith("https://127.0.77.")
    assert shielded["origin"] == f"http://127.0.0.1:{origin.port}"
    # the fleet's sums have the client's request once, and the origin's once
    assert sum(each.requests for each in figures) == 1
    assert sum(each.origin_requests for each in figures) == 1
    assert sum(each.bytes_out for each in figures) == len("body")
    assert sum(each.shield_requests for each in figures) == 1
    assert sum(each.shielded_requests for each in figures) == 1


async def test_a_request_that_the_shield_refuses_has_a_line_there_and_is_not_counted(tmp_path: Path) -> None:
    async with shielded_edges(tmp_path) as (edges, _, sites):
        shield = shield_of(edges, sites)
        asking = next(each for each in edges if each is not shield)
        await shield.services.close()
        assert (await asking.get()).status_code == 200
        [line] = await shield.read_log()
        assert (line["status"], line["via"], line["service"]) == (421, "shield", "none")
        assert shield.telemetry.figures.of_service("none").requests == 0
