"""A network that was away for so long that its path was given up: it is back in the session when it is back."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("root", "netns")

States = list[list[str]]


def states(client: "subprocess.Popen[str]") -> States:
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write("\n")
    client.stdin.flush()
    found: States = json.loads(client.stdout.readline())
    return found


def until(client: "subprocess.Popen[str]", fits: Callable[[States], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not fits(found := states(client)):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_a_path_that_was_given_up_returns_with_its_network(place: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("0" * 32 + "\n")
    place.start_edge(keys)
    wifi = ("ip", "-n", place.phone, "link", "set", "wifi0")
    with place.client("hold") as client:
        assert client.stdout.readline() == "ready\n"
        place.run(*wifi, "down")
        # the connection by which it went is ended too, as by a middlebox that forgets it
        place.run("ip", "netns", "exec", place.phone, "ss", "-K", "src", "10.2.0.2")
        until(client, lambda found: found[1][1] not in ("open", "stalled"), 60)
        until(client, lambda found: found[-1] == ["attempts", "2"], 60)  # all that it has
        assert len(states(client)) == 3
        place.run(*wifi, "up")
        place.run(*f"ip -n {place.phone} route add default via 10.2.0.1 dev wifi0 metric 200".split())
        until(client, lambda found: ["wifi0", "open"] in found, 60)
        client.kill()
