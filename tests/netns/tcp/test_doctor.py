"""`sennit doctor` on a phone with two networks: a good host, and each broken one is named with its remedy."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("root", "netns")

VIP = "203.0.113.1"
MAIN = "import sys; from sennit.main import main; sys.exit(main())"
ROOT = Path(__file__).parents[3]
PATHS = ("--path", "cell0", "--path", "wifi0", "--edge-cache", "none")


@pytest.fixture(autouse=True)
def settings(place: Any) -> None:
    values = "net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.cell0.rp_filter=0 net.ipv4.conf.wifi0.rp_filter=0"
    in_phone(place, "sysctl", "-qw", *values.split())


def in_phone(place: Any, *command: str) -> str:
    return str(place.run("ip", "netns", "exec", place.phone, *command))


def doctor(place: Any, tmp_path: Path, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit status, and what is not ok, by the name of the check."""
    known = ("--known-hosts", str(tmp_path / "known"))
    command = ["ip", "netns", "exec", place.phone, sys.executable]
    done = subprocess.run(
        [*command, "-c", MAIN, "doctor", "--json", *known, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    wrong = {each["check"]: each for each in found if each["severity"] == "error"}
    assert all(each["remedy"] for each in found if each["severity"] != "ok")
    return done.returncode, wrong


def start_edge(place: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("00112233445566778899aabbccddeeff\n")
    place.start_edge(keys)


def test_a_good_host_has_no_error(place: Any, tmp_path: Path) -> None:
    assert doctor(place, tmp_path) == (0, {})
    start_edge(place, tmp_path)
    assert doctor(place, tmp_path, VIP, *PATHS) == (0, {})


@pytest.mark.parametrize(
    ("breakage", "check", "found", "remedy"),
    [
        ("ip route del default dev wifi0", "interfaces", "only cell0 has a default route", "--path"),
        ("ip link set wifi0 mtu 1000", "MTU of wifi0", "1000 bytes", "ip link set wifi0 mtu 1500"),
        (
            "sysctl -qw net.ipv4.conf.wifi0.rp_filter=1",
            "rp_filter of wifi0",
            "strict (1)",
            "net.ipv4.conf.wifi0.rp_filter=2",
        ),
    ],
)
def test_what_is_wrong_on_the_host_is_named_with_its_remedy(
    place: Any, tmp_path: Path, breakage: str, check: str, found: str, remedy: str
) -> None:
    in_phone(place, *breakage.split())
    status, wrong = doctor(place, tmp_path)
    assert status == 1
    assert set(wrong) == {check}
    assert found in wrong[check]["found"]
    assert remedy in wrong[check]["remedy"]


def test_an_interface_that_is_down_is_named(place: Any, tmp_path: Path) -> None:
    in_phone(place, "ip", "link", "set", "wifi0", "down")
    status, wrong = doctor(place, tmp_path, VIP, *PATHS)
    assert status == 1
    assert wrong["route by wifi0"]["found"].startswith(f"wifi0 has no route to {VIP}: ")
    assert "the interface up" in wrong["route by wifi0"]["remedy"]


def test_a_service_port_that_nothing_answers_at_is_named_for_each_path(place: Any, tmp_path: Path) -> None:
    status, wrong = doctor(place, tmp_path, VIP, *PATHS)
    assert status == 1
    assert set(wrong) == {f"{VIP}:443 over {interface}" for interface in ("cell0", "wifi0")}


def test_a_locator_that_cannot_be_reached_is_named(place: Any, tmp_path: Path) -> None:
    start_edge(place, tmp_path)
    status, wrong = doctor(place, tmp_path, VIP, *PATHS, "--id-port-base", "20000")
    assert status == 1
    assert set(wrong) == {"session over both paths"}
    assert wrong["session over both paths"]["found"].startswith("OnePathOnly: ") or (
        "20001" in wrong["session over both paths"]["found"]
    )


def test_a_resolver_that_does_not_answer_is_named_for_its_path(place: Any, tmp_path: Path) -> None:
    resolvers = ("--resolver", "cell0=10.1.0.1", "--resolver", "wifi0=10.2.0.1")
    status, wrong = doctor(place, tmp_path, "cdn.example", *PATHS, *resolvers)
    assert status == 1
    assert set(wrong) == {"DNS over cell0", "DNS over wifi0"}
    assert "10.2.0.1" in wrong["DNS over wifi0"]["found"]
    assert "--resolver wifi0=ADDRESS" in wrong["DNS over wifi0"]["remedy"]
