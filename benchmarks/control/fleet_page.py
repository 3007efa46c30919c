"""The fleet page in Chromium, over TLS, at 10,000 edges and 1,000 services: time, script, bytes and memory.

`sennit control` on SQLite has the fleet in its database; each edge has sent a heartbeat with figures and rates, one in
two hundred is degraded. Browser, control plane and this process share the machine's processors.
"""

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, CDPSession, Page, async_playwright

from balancer.control.storage.database import database_url
from benchmarks.control.activations import fill_services
from benchmarks.control.fleet import FleetConnection, edge_credential, fill_database, in_portions
from benchmarks.control.heartbeats import (
    ADMIN,
    Setting,
    running_control,
    temporary_folder,
)
from benchmarks.edge.peers import make_certificate
from benchmarks.measurement.result import Measured, Value

EDGES, SERVICES = 10_000, 1_000
CONNECTIONS = 50
SECONDS = 30  # that the page is watched for
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
# counts how often the table of edges was looked at, whether or not that changed it
COUNT_LOOKS = """() => {
  const ask = window.fetch;
  window.looks = 0;
  window.fetch = (...words) => {
    if (words[0].startsWith("/v1/overview/edges")) window.looks += 1;
    return ask(...words);
  };
}"""


def measure(edges: int = EDGES, services: int = SERVICES) -> list[Measured]:
    """Some two minutes."""
    with temporary_folder() as folder:
        make_certificate(folder)
        seen = asyncio.run(_measure_page(folder, edges, services))
    named = f"{edges:,} edges, {services:,} services"
    limits = {"until the table is drawn": 2.0, "script for one refresh": 0.1}
    return [
        Value(f"{named}, {what}", unit, "lower", value, value, value, limits.get(what))
        for what, (value, unit) in seen.items()
    ]


async def _measure_page(folder: Path, edges: int, services: int) -> dict[str, tuple[float, str]]:
    setting = Setting(folder, tls=True, lease_seconds=600)
    fill_database(database_url(folder, None), edges)
    fill_services(folder, services)
    async with running_control(setting) as (port, _):
        await in_portions(
            [_send_heartbeats(setting, port, edges, services, first) for first in range(1, CONNECTIONS + 1)]
        )
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(QUIET))
            seen = await _watch_page(browser, f"https://127.0.0.1:{port}")
            await browser.close()
    return seen


async def _send_heartbeats(setting: Setting, port: int, edges: int, services: int, first: int) -> None:
    """Send a heartbeat of every fiftieth edge."""
    connection, choice = FleetConnection(port, setting.trusting()), random.Random(first)  # noqa: S311 (not a secret)
    await connection.open()
    for edge in range(first, edges + 1, CONNECTIONS):
        await connection.ask(
            "PUT",
            f"/v1/edges/{edge}/lease",
            edge_credential(edge),
            _make_heartbeat(edge, edges, services, choice),
        )
    connection.close()


def _make_heartbeat(edge: int, edges: int, services: int, choice: random.Random) -> dict[str, Any]:
    requests = choice.randrange(10, 5_000)
    figures = {
        "requests": requests,
        "hits": requests * 9 // 10,
        "statuses": [0, 0, requests, 0, 0, 0],
        "session_seconds": 80.0,
    }
    rates = [
        {
            "edge_id": choice.randrange(edges) + 1,
            "bits_per_second": choice.randrange(1 << 30),
            "packets_per_second": 1,
        }
        for _ in range(3)
    ]
    ill = edge % 200 == 0
    return {
        "health": "degraded" if ill else "ok",
        "reasons": ["backbone: no peer answers"] if ill else [],
        "applied_generation": 1,
        "announcing": True,
        "sessions": choice.randrange(20_000),
        "forwards": rates,
        "figures": {
            "sequence": 1,
            "services": {f"service{(edge + n) % services}": figures for n in range(3)},
        },
        "services": {"generation": 1, "refused": []},
    }


async def _watch_page(browser: Browser, url: str) -> dict[str, tuple[float, str]]:
    context = await browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 1000})
    page = await context.new_page()
    await page.add_init_script(f"({COUNT_LOOKS})()")
    await page.goto(url)
    await page.get_by_label("Token").fill(ADMIN)
    await page.get_by_role("button", name="Log in").click()
    await page.locator("#edges tr").first.wait_for(timeout=120_000)
    began = time.monotonic()  # again, as who comes back: the session's cookie is there
    await page.reload()
    await page.locator("#edges tr").first.wait_for(timeout=120_000)
    drawn = time.monotonic() - began
    await page.locator("#services tr").first.wait_for(timeout=120_000)
    tools = await context.new_cdp_session(page)
    received = [0]
    await tools.send("Network.enable")
    tools.on(
        "Network.dataReceived",
        lambda event: received.__setitem__(0, received[0] + event["encodedDataLength"]),
    )
    await tools.send("Performance.enable")
    before, looks = await _read_metrics(tools), await page.evaluate("window.looks")
    received[0] = 0
    await asyncio.sleep(SECONDS)
    after, count = await _read_metrics(tools), await page.evaluate("window.looks") - looks
    if picture := os.environ.get("SENNIT_PAGE_PICTURES"):
        await _take_pictures(page, Path(picture))
    return {
        "until the table is drawn": (drawn, "s"),
        "script for one refresh": ((after["ScriptDuration"] - before["ScriptDuration"]) / count, "s"),
        "all work of the page for one refresh": (
            (after["TaskDuration"] - before["TaskDuration"]) / count,
            "s",
        ),
        "read for one refresh": (received[0] / count / 1e3, "KB"),
        "between refreshes": (SECONDS / count, "s"),
        "memory of its script": (after["JSHeapUsedSize"] / 1e6, "MB"),
    }


async def _read_metrics(tools: CDPSession) -> dict[str, float]:
    found = await tools.send("Performance.getMetrics")
    return {each["name"]: each["value"] for each in found["metrics"]}


async def _take_pictures(page: Page, folder: Path) -> None:
    """Take the page as it is wide, dark, and on a telephone, to be looked at."""
    await page.screenshot(path=folder / "light.png", full_page=True)
    await page.emulate_media(color_scheme="dark")
    await page.screenshot(path=folder / "dark.png", full_page=True)
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.screenshot(path=folder / "small.png", full_page=True)
