"""Unmodified programs in the lab, curl and Chromium, reach the CDN by `sennit proxy`, over two paths or not at all."""

import hashlib
import json
import os
import re
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.host import ip_commands
from lab.ipv6 import gateways_v6
from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB, SERVICE_NAME

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

COLOURS = [(200, 30, 30), (30, 160, 60), (40, 80, 200), (220, 160, 20)]


class RunningProxy:
    """`sennit proxy` on the phone; `events` are what it logged so far."""

    def __init__(self, place: LabFolder, log: Path) -> None:
        self._lab = NamespaceLab(place, LAB)
        self._log = log
        command = self._lab.command(
            *("phone", "sennit", "proxy", "--json", "--listen", "127.0.0.1:0", "--host", SERVICE_NAME)
        )
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.endswith("}")]

    def address(self) -> str:
        while not (events := self.events()):
            assert self.process.poll() is None, self._log.read_text()
            time.sleep(0.05)
        return str(events[0]["listen"])

    def run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        return subprocess.run(
            self._lab.command("phone", *command), capture_output=True, timeout=60, env=environment
        )


@pytest.fixture
def proxy(place: LabFolder, tmp_path: Path) -> Iterator[RunningProxy]:
    running = RunningProxy(place, tmp_path / "proxy.log")
    try:
        running.address()
        yield running
    finally:
        running.process.terminate()
        assert running.process.wait(timeout=60) == 0


def picture(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """A PNG of one colour and a gradient of its shades."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(
        b"\0" + b"".join(bytes(part * (x + width) // (2 * width) for part in colour) for x in range(width))
        for _ in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def put_page(place: LabFolder) -> None:
    """A page with pictures at the origin; a script of it writes their widths into the page."""
    origin = place.node("origin")
    for n, colour in enumerate(COLOURS):
        (origin / f"picture{n}.png").write_bytes(picture(200 + n, 120, colour))
    images = "".join(f'<img src="picture{n}.png">' for n in range(len(COLOURS)))
    script = "onload = () => { document.title = [...document.images].map(i => i.naturalWidth).join(' ') }"
    (origin / "page.html").write_text(
        f"<!doctype html><h1>Over two paths</h1><p>{images}</p><script>{script}</script>"
    )


@pytest.mark.parametrize("option", [("-x", "http://"), ("--socks5-hostname", ""), ("-p", "-x", "http://")])
def test_curl_gets_a_file_whole(proxy: RunningProxy, place: LabFolder, option: tuple[str, ...]) -> None:
    *flags, scheme = option
    got = proxy.run("curl", "-sS", *flags, scheme + proxy.address(), f"http://{SERVICE_NAME}/sample.bin")
    assert got.returncode == 0, got.stderr
    wanted = (place.node("origin") / "sample.bin").read_bytes()
    assert hashlib.sha256(got.stdout).digest() == hashlib.sha256(wanted).digest()
    opened = next(event for event in proxy.events() if event["event"] == "SessionOpened")
    assert [path["ingress_id"] for path in opened["report"]["paths"]] == [1, 2]
    assert opened["report"]["downgrades"] == []


def test_curl_gets_the_reason(proxy: RunningProxy, place: LabFolder) -> None:
    """The second path is down: no session, nothing weaker instead, and the reason in words."""
    other = proxy.run("curl", "-sS", "-x", f"http://{proxy.address()}", "http://elsewhere.example/")
    assert b"elsewhere.example is not of the CDN" in other.stdout
    down = [*place.enter("phone"), "ip", "link", "set", "wifi0"]
    subprocess.run([*down, "down"], check=True)
    try:
        got = proxy.run("curl", "-sS", "-x", f"http://{proxy.address()}", f"http://{SERVICE_NAME}/sample.bin")
    finally:
        subprocess.run([*down, "up"], check=True)
        for words in (*ip_commands(LAB, "phone"), *gateways_v6(LAB, "phone")):
            subprocess.run([*place.enter("phone"), "ip", *words.split()], check=True)
    assert got.stdout.startswith(b"error: OnePathOnly: ")
    assert b"hint:  give two interfaces" in got.stdout


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_chromium_renders_a_page_with_its_pictures(
    proxy: RunningProxy, place: LabFolder, tmp_path: Path, scheme: str
) -> None:
    put_page(place)
    shot = Path(os.environ.get("SENNIT_SCREENSHOTS", tmp_path)) / f"page-{scheme}.png"
    shown = proxy.run(
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={tmp_path / 'profile'}", f"--proxy-server={scheme}://{proxy.address()}"),
        *("--dump-dom", f"--screenshot={shot}", "--window-size=900,400"),
        f"http://{SERVICE_NAME}/page.html",
    )
    found = re.search(r"<title>(.*?)</title>", shown.stdout.decode())
    assert found is not None, shown.stdout + shown.stderr
    assert found[1] == "200 201 202 203"
    opened = [event for event in proxy.events() if event["event"] == "SessionOpened"]
    assert all(event["host"] == SERVICE_NAME for event in opened)
    assert all([path["ingress_id"] for path in event["report"]["paths"]] == [1, 2] for event in opened)
