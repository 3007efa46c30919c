"""A link goes dark in the middle of a download, without a FIN or RST: kernel TCP, real timers, the right hash."""

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("root", "netns")

SIZE = 99_000_000  # what eight digits can ask for


def test_a_link_that_goes_dark_holds_a_download_up_for_moments_only(place: Any, tmp_path: Path) -> None:
    place.start_edge(tmp_path / "no keys")
    with place.client("download", SIZE) as client:
        assert client.stdout.readline() == "started\n"
        link = max(("cell0", "wifi0"), key=place.sent)
        other = "wifi0" if link == "cell0" else "cell0"
        before = place.sent(other)
        place.run("ip", "-n", place.server, "link", "set", link, "down")
        client.stdin.write("go on\n")
        client.stdin.flush()
        result = json.loads(client.communicate(timeout=60)[0])
    assert result["right"]
    assert place.sent(other) - before > SIZE // 2
    assert result["gap"] < 10  # a second is the greatest patience; the kernel's own is a quarter of an hour
