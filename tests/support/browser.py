"""Debian's Chromium, headless, on a host of the lab."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

# what a browser does on its own account has no network to go to
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def browser_at(enter: list[str], folder: Path) -> Iterator[Browser]:
    """Start Chromium with the command line `enter` before it; `folder` is for what it needs on disk."""
    wrapper = folder / "chromium"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(enter)} /usr/bin/chromium "$@"\n')
    wrapper.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(wrapper), args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()
