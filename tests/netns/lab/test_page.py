"""The fleet page in a real browser: log in, see the fleet, drain an edge, see another die."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import browser_at
from playwright.sync_api import Dialog, Locator, Page, expect

from lab.namespace.daemons import control_url
from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.sample import SAMPLE, SAMPLE_BYTES
from lab.topology import LAB, SERVICE_NAME

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird", "chromium")

LEASE = 30.0  # seconds: three of the control plane's default
SLACK = 30_000.0  # milliseconds that a busy machine may add


@pytest.fixture
def page(place: LabFolder, tmp_path: Path) -> Iterator[Page]:
    """The page, opened on the control plane's host; any request to another host fails the test."""
    with browser_at(place.enter("control"), tmp_path) as browser:
        context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 800})
        page = context.new_page()
        asked: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(control_url(LAB))
        yield page
        page.screenshot(path=tmp_path / "page.png")
        assert complaints == []
        assert {url for url in asked if not url.startswith(control_url(LAB))} == set()


def log_in(page: Page, place: LabFolder) -> None:
    page.get_by_label("Token").fill((place.node("control") / "admin.token").read_text().strip())
    page.get_by_role("button", name="Log in").click()


def row(page: Page, edge: str) -> Locator:
    return page.locator(f'tr[data-edge="{edge}"]')


def test_a_wrong_token_shows_nothing_and_says_why(page: Page) -> None:
    page.get_by_label("Token").fill("not-a-known-token")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert").filter(has_text="this token is unknown")).to_be_visible(timeout=SLACK)
    expect(page.locator("#fleet")).to_be_hidden()


def test_the_page_cannot_be_framed_and_loads_nothing_from_elsewhere(page: Page) -> None:
    answer = page.goto(control_url(LAB))
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_an_edge_is_drained_by_a_click_and_the_log_says_who_did_it(page: Page, place: LabFolder) -> None:
    log_in(page, place)
    for node in LAB.edges():
        expect(row(page, node.name).locator(".chip").first).to_have_text("up", timeout=SLACK)
    page.on("dialog", _accept)
    row(page, "edge3").get_by_role("button", name="Drain").click()
    try:
        expect(row(page, "edge3").locator('[data-cell="setting"]')).to_have_text("draining", timeout=SLACK)
        expect(page.locator("#events li").first).to_contain_text(re.compile("edge3.*draining"), timeout=SLACK)
        expect(page.locator("#summary")).to_contain_text("1 draining", timeout=SLACK)
    finally:
        row(page, "edge3").get_by_role("button", name="Undrain").click()
    expect(row(page, "edge3").locator('[data-cell="setting"]')).to_have_text("active", timeout=SLACK)
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("#fleet")).to_be_hidden(timeout=SLACK)
    page.reload()
    expect(page.get_by_label("Token")).to_be_visible(timeout=SLACK)


def _accept(dialog: Dialog) -> None:
    assert "edge3" in dialog.message
    dialog.accept()


def test_an_edges_death_is_seen(page: Page, place: LabFolder) -> None:
    """Its agent reports it at once; a lease that expires would say so in other words."""
    lab = NamespaceLab(place, LAB)
    edge = LAB.node("edge3")
    log_in(page, place)
    expect(row(page, "edge3").locator(".chip").first).to_have_text("up", timeout=SLACK)
    lab.kill_server(edge)
    try:
        expect(row(page, "edge3").locator(".chip").first).to_have_text("down", timeout=LEASE * 1000)
        expect(row(page, "edge3").locator(".reasons li").first).not_to_be_empty(timeout=SLACK)
        drawn = page.locator('#drawing [data-edge="edge3"]')
        expect(drawn).to_have_class(re.compile("bad"), timeout=SLACK)
    finally:
        lab.start_server(edge)
    expect(row(page, "edge3").locator(".chip").first).to_have_text("up", timeout=LEASE * 1000 + SLACK)


def test_who_forwards_to_whom_is_drawn_with_its_rate(page: Page, place: LabFolder) -> None:
    lab = NamespaceLab(place, LAB)
    log_in(page, place)
    url = f"smkex://{SERVICE_NAME}/{SAMPLE}"
    slowly = ("--scheduler", "redundant", "--limit-rate", str(SAMPLE_BYTES // 120))
    command = lab.command("phone", "sennit", "get", url, *slowly, "-o", "/dev/null")
    download = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        # the second path enters at edge2, so edge1, which owns the session, sends its replies there
        arrow = page.locator("#drawing text.flow-text").filter(
            has_text=re.compile("[km]bit/s", re.IGNORECASE)
        )
        expect(arrow.first).to_be_visible(timeout=2 * SLACK)
        forwards = row(page, "edge1").locator('[data-cell="forwards"]')
        expect(forwards).to_have_text(re.compile("Mbit/s"), timeout=SLACK)
    finally:
        download.kill()
        download.wait()
