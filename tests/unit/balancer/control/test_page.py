"""The fleet page's rings in a real browser, on a control plane of its own over TLS: weights, a drain, no ring."""

import hashlib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certificates
import httpx
import pytest
from browser import browser_at
from free_ports import free_port
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.needs("chromium")

ADMIN = "the-admin-token-of-this-test"
PATIENCE = 20_000.0  # milliseconds that a busy machine may take


@pytest.fixture
def control(tmp_path: Path) -> Iterator[httpx.Client]:
    """`sennit control` with three edges of one site, which have been heard of."""
    certificate, key = certificates.identity(tmp_path, "control", "127.0.0.1")
    (tmp_path / "admin").write_text(ADMIN)
    listen = f"127.0.0.1:{free_port()}"
    words: list[Any] = ["--state", tmp_path / "state", "--listen", listen, "--lease-seconds", "600"]
    words += ["--admin-token-file", tmp_path / "admin", "--tls-certificate", certificate, "--tls-key", key]
    sennit = Path(sys.executable).with_name("sennit")
    process = subprocess.Popen([sennit, "control", *words], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        assert any(line == "ready\n" for line in process.stderr), "it ended"
        headers = {"Authorization": f"Bearer {ADMIN}"}
        trusting = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=f"https://{listen}", verify=trusting, headers=headers, timeout=30) as http:
            http.post("/v1/vips", json={"name": "main", "v4": "203.0.113.1"}).raise_for_status()
            for number in (1, 2, 3):
                enrol(http, number)
            yield http
    finally:
        process.kill()
        process.communicate()


def enrol(http: httpx.Client, number: int) -> None:
    token = http.post("/v1/enrolment-tokens", json={"edge_id": number}).json()["token"]
    body = {
        "name": f"edge{number}",
        "site": "a",
        "tunnel_v4": f"10.255.0.{number}",
        "credential_sha256": hashlib.sha256(f"credential-{number}".encode()).hexdigest(),
    }
    shown = {"Authorization": f"Bearer {token}"}
    http.post("/v1/edges", json=body, headers=shown).raise_for_status()
    own = {"Authorization": f"Bearer credential-{number}"}
    http.put(f"/v1/edges/{number}/lease", json={"health": "ok"}, headers=own).raise_for_status()


@pytest.fixture
def page(control: httpx.Client, tmp_path: Path) -> Iterator[Page]:
    with browser_at(["env"], tmp_path) as browser:
        context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 1000})
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Security" in said.text else None)
        page.goto(str(control.base_url))
        page.get_by_label("Token").fill(ADMIN)
        page.get_by_role("button", name="Log in").click()
        yield page
        page.screenshot(path=tmp_path / "page.png")
        assert complaints == []


def test_the_rings_of_sites_are_drawn_with_their_weights_and_follow_the_table(
    page: Page, control: httpx.Client, tmp_path: Path
) -> None:
    rings = page.locator("#rings-section")
    expect(page.locator("#edges tr")).to_have_count(3, timeout=PATIENCE)
    expect(rings).to_be_hidden()

    change(control, "/v1/edges/2", {"weight": 2})
    change(control, "/v1/sites/a", {"ring": True})
    shown = rings.locator('article[data-site="a"]')
    expect(shown.locator('[data-edge="edge2"]')).to_contain_text("weight 2, 50 %", timeout=PATIENCE)
    expect(shown.locator('[data-edge="edge1"]')).to_contain_text("weight 1, 25 %")
    expect(shown.locator("circle.now")).to_have_count(3)
    expect(shown.locator("circle.before")).to_have_count(0)

    change(control, "/v1/edges/3", {"admin_state": "draining"})
    expect(shown.locator('[data-edge="edge3"]')).to_contain_text("takes none", timeout=PATIENCE)
    expect(shown.locator('[data-edge="edge2"]')).to_contain_text("67 %")
    expect(shown).to_contain_text("edge1 25 %, edge2 50 %, edge3 25 %")
    expect(shown.locator("circle.now")).to_have_count(2)
    page.screenshot(path=tmp_path / "rings.png", full_page=True)

    page.get_by_label("Filter edges").fill("elsewhere")
    expect(shown).to_have_count(0, timeout=PATIENCE)
    page.get_by_label("Filter edges").fill("edge1")
    expect(shown).to_be_visible(timeout=PATIENCE)

    change(control, "/v1/sites/a", {"ring": False})
    expect(rings).to_be_hidden(timeout=PATIENCE)


def test_what_an_edge_reports_is_shown_and_accepted_or_refused(page: Page, control: httpx.Client) -> None:
    def report(number: int, tunnel: str) -> None:
        own = f"credential-{number}"
        body = {
            "name": f"edge{number}",
            "site": "a",
            "tunnel_v4": tunnel,
            "credential_sha256": hashlib.sha256(own.encode()).hexdigest(),
        }
        control.post("/v1/edges", json=body, headers={"Authorization": f"Bearer {own}"}).raise_for_status()

    def published(number: int) -> str:
        return str(control.get(f"/v1/edges/{number}").json()["tunnel_v4"])

    pending = {number: page.locator(f'tr[data-edge="edge{number}"] .pending') for number in (1, 2)}
    expect(page.locator("#edges tr")).to_have_count(3, timeout=PATIENCE)
    expect(pending[1]).to_be_hidden()
    report(1, "10.255.9.1")
    report(2, "10.255.9.2")
    expect(pending[1]).to_contain_text("tunnel_v4 10.255.0.1 → 10.255.9.1", timeout=PATIENCE)
    expect(pending[2]).to_contain_text("10.255.9.2", timeout=PATIENCE)
    pending[2].get_by_role("button", name="Refuse").click()
    expect(pending[2]).to_be_hidden(timeout=PATIENCE)
    page.on("dialog", lambda dialog: dialog.accept())
    pending[1].get_by_role("button", name="Accept").click()
    expect(pending[1]).to_be_hidden(timeout=PATIENCE)
    assert (published(1), published(2)) == ("10.255.9.1", "10.255.0.2")


def test_services_are_listed_with_what_edges_refuse_and_how_a_rollout_does(
    page: Page, control: httpx.Client, tmp_path: Path
) -> None:
    section = page.locator("#services-section")
    expect(page.locator("#edges tr")).to_have_count(3, timeout=PATIENCE)
    expect(section).to_be_hidden()

    document = {"hostnames": ["www.example.org"], "origins": [{"name": "eu", "url": "http://192.0.2.1"}]}
    control.post("/v1/services", json={"name": "shop"}).raise_for_status()
    control.post("/v1/services/shop/revisions", json=document).raise_for_status()
    control.post("/v1/services/shop/activate", json={"revision": 1}).raise_for_status()
    row = section.locator('tr[data-service="shop"]')
    expect(row).to_contain_text("www.example.org", timeout=PATIENCE)

    report = {"generation": 1, "refused": [{"name": "shop", "revision": 1, "reason": "does not suit"}]}
    own = {"Authorization": "Bearer credential-1"}
    control.put(
        "/v1/edges/1/lease", json={"health": "ok", "services": report}, headers=own
    ).raise_for_status()
    expect(row).to_contain_text("edge 1, revision 1: does not suit", timeout=PATIENCE)

    control.post("/v1/services/shop/revisions", json=document | {"log": {"sample": 0.1}}).raise_for_status()
    rollout = {"stages": [{"site": "a"}], "dwell_seconds": 600}
    body = {"revision": 2, "rollout": rollout}
    control.post("/v1/services/shop/activate", json=body).raise_for_status()
    expect(row).to_contain_text("revision 2 running, stage 1 of 1, site a: waiting", timeout=PATIENCE)
    page.screenshot(path=tmp_path / "services.png", full_page=True)

    page.get_by_label("Filter services").fill("elsewhere")
    expect(row).to_have_count(0, timeout=PATIENCE)


def test_traffic_is_charted_by_fleet_service_and_edge_with_origins_that_are_not_well(
    page: Page, control: httpx.Client, tmp_path: Path
) -> None:
    expect(page.locator("#edges tr")).to_have_count(3, timeout=PATIENCE)
    document = {"hostnames": ["www.example.org"], "origins": [{"name": "eu", "url": "http://192.0.2.1"}]}
    control.post("/v1/services", json={"name": "shop"}).raise_for_status()
    control.post("/v1/services/shop/revisions", json=document).raise_for_status()
    control.post("/v1/services/shop/activate", json={"revision": 1}).raise_for_status()
    figures = {"requests": 400, "hits": 300, "statuses": [0, 0, 380, 0, 0, 20], "origin_requests": 100}
    more = {"origin_seconds": 150, "session_seconds": 6_000_000, "handshake_failures": [0, 0, 3, *[0] * 6]}
    ejected = {"service": "shop", "origin": "eu", "state": "ejected", "cause": "status 503", "seconds": 9}
    report = {
        "health": "ok",
        "figures": {"sequence": 1, "services": {"shop": figures | more}},
        "origins": {"known": 1, "unhealthy": 1, "listed": [ejected | {"latency": 1.5}]},
    }
    own = {"Authorization": "Bearer credential-1"}
    control.put("/v1/edges/1/lease", json=report, headers=own).raise_for_status()

    # the step of ten seconds ends, then the charts have it
    charts = page.locator("#traffic")
    expect(charts.locator("article", has_text="Hit ratio")).to_contain_text("hits 75 %", timeout=PATIENCE)
    expect(charts.locator("article", has_text="Errors")).to_contain_text("5xx 5 %")
    expect(charts.locator("article", has_text="Origin latency")).to_contain_text("mean 1.5 s")
    row = page.locator('#services tr[data-service="shop"]')
    expect(row).to_contain_text("6.7", timeout=PATIENCE)  # requests a second, over a minute
    expect(row).to_contain_text("1.5 s")
    expect(row).to_contain_text("100k")  # sessions
    expect(row).to_contain_text("3 timeout")
    expect(charts.locator("article", has_text="Sessions")).to_contain_text("failed handshakes/s")
    origin = page.locator('#origins tr[data-origin="shop/eu"]')
    expect(origin).to_contain_text("ejected at edge 1", timeout=PATIENCE)
    expect(origin).to_contain_text("status 503")

    row.get_by_role("button", name="shop").click()
    expect(page.locator("#traffic-title")).to_have_text("Traffic of service shop")
    expect(charts.locator("article", has_text="Hit ratio")).to_contain_text("hits 75 %", timeout=PATIENCE)
    page.locator('#edges tr[data-edge="edge2"]').get_by_role("button", name="edge2").click()
    expect(page.locator("#traffic-title")).to_have_text("Traffic of edge edge2")
    expect(charts.locator("article", has_text="Hit ratio")).to_contain_text("hits –", timeout=PATIENCE)
    page.get_by_role("button", name="Show the fleet").click()
    expect(page.locator("#traffic-title")).to_have_text("Traffic of the fleet")
    page.screenshot(path=tmp_path / "traffic.png", full_page=True)


def test_on_a_telephone_the_button_of_an_edge_is_in_sight(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#edges tr")).to_have_count(3, timeout=PATIENCE)
    for button in page.locator("#edges").get_by_role("button", name="Drain").all():
        place = button.bounding_box()
        assert place is not None
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.screenshot(path=tmp_path / "small.png", full_page=True)


def change(control: httpx.Client, path: str, body: dict[str, Any]) -> None:
    control.patch(path, json=body).raise_for_status()
