"""Record how an operator finds a slow origin: `python tools/record_slow_origin.py`, as root.

Runs the scenario `slow-origin` in a lab of its own, and writes docs/operate/slow-origin.md with what the commands
printed, and the fleet page as it was meanwhile (Chromium): docs/images/slow-origin.png and fleet.png. The page is not
written where the scenario misses its target.
"""

import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from lab.namespace import bringup
from lab.namespace.daemons import control_url
from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.scenarios.slow_origin import DELAY, SERVICE, SLOW, OperatorWalk, walk_slow_origin
from lab.scenarios.verdict import Verdict
from lab.topology import LAB

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "operate" / "slow-origin.md"
PICTURE = ROOT / "docs" / "images" / "slow-origin.png"
FLEET_PICTURE = ROOT / "docs" / "images" / "fleet.png"
SLACK = 30_000.0  # milliseconds
TEXT = {
    "before": "All is well. Two services do what they do; their origins answer within milliseconds:",
    "which service": "Customers complain that pages are slow. One look says of which service, and that it is its "
    "origins: P99 is the bound below which 99 of 100 answers of origins began:",
    "which origin": "Which of its origins? Edges report the slowest in their heartbeats:",
    "which requests": "The access log of an edge says it of each request:",
    "one of them": "And one of them, with all that the people of the origin need to find it in their own log: they "
    "get the same id as `X-Request-Id`:",
}


def main() -> int:
    """Return 1 where the scenario missed its target."""
    verdict, walk = Verdict("slow-origin", "namespaces"), OperatorWalk(look=take_picture)
    with tempfile.TemporaryDirectory() as folder:
        place = LabFolder(f"so{os.getpid()}", Path(folder) / "state")
        try:
            bringup.bring_up(place, LAB)
            walk_slow_origin(NamespaceLab(place, LAB), verdict, walk)
        finally:
            bringup.tear_down(place)
    print(verdict.text())
    if not verdict.ok:
        return 1
    TARGET.write_text(page_of(walk, verdict))
    return 0


def page_of(walk: OperatorWalk, verdict: Verdict) -> str:
    """Return the page as Markdown."""
    lines = [
        "# Find a slow origin",
        "",
        "<!-- written by tools/record_slow_origin.py -->",
        "",
        f"A recorded walk in the [lab](../lab.md): the service `{SERVICE}` has two origins, and one of them, `{SLOW}`, "
        f"begins to wait {DELAY:g} s before it answers. An operator finds it by the commands, the log and the page "
        "alone. `sennit lab run slow-origin` does the same, and judges each answer.",
        "",
    ]
    for title, command, output in walk.steps:
        kind = title.partition(",")[0]
        heading = title[0].upper() + title[1:]
        lines += [f"## {heading}", "", TEXT[kind], "", "```sh", command, "```", "", "```", output, "```", ""]
        if kind == "which origin":
            lines += [
                "The fleet page shows the same: the charts of the service, and the origin at the top of the list.",
                "",
                "![The fleet page: the origin latency of the service rises to two seconds](../images/slow-origin.png)",
                "",
            ]
    lines += ["## What the scenario judged", "", verdict.markdown(), ""]
    return "\n".join(lines)


def take_picture(lab: NamespaceLab) -> None:
    """Take the page with the service's traffic."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        wrapper = Path(folder) / "chromium"
        enter = " ".join(lab.place.enter("control"))
        wrapper.write_text(f'#!/bin/sh\nexec {enter} /usr/bin/chromium "$@"\n')
        wrapper.chmod(0o755)
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        browser = playwright.chromium.launch(executable_path=str(wrapper), args=flags)
        context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 1000})
        page = context.new_page()
        show_service(page, lab)
        page.screenshot(path=PICTURE, full_page=True)
        browser.close()


def show_service(page: Page, lab: NamespaceLab) -> None:
    """Log in, take the picture of the fleet, and choose the service."""
    page.goto(control_url(LAB))
    page.get_by_label("Token").fill((lab.place.node("control") / "admin.token").read_text().strip())
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#edges tr")).to_have_count(len(LAB.edges()), timeout=SLACK)
    page.wait_for_timeout(3_000)
    page.screenshot(path=FLEET_PICTURE, full_page=True)
    row = page.locator(f'#services tr[data-service="{SERVICE}"]')
    row.get_by_role("button", name=SERVICE).click(timeout=SLACK)
    expect(page.locator("#traffic-title")).to_have_text(f"Traffic of service {SERVICE}", timeout=SLACK)
    expect(page.locator(f'#origins tr[data-origin="{SERVICE}/{SLOW}"]')).to_be_visible(timeout=SLACK)
    page.wait_for_timeout(3_000)


if __name__ == "__main__":
    sys.exit(main())
