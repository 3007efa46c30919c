"""The systemd units: what systemd itself says of them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sennit.commands import command_modules

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
WORST = 2.5  # of 10; below 3 systemd says OK


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder that holds the units, and programs for their commands."""
    root = tmp_path_factory.mktemp("root")
    (root / "usr" / "lib" / "systemd" / "system").mkdir(parents=True)
    shutil.copytree(UNITS, root / "etc" / "systemd" / "system")
    return root


@pytest.mark.parametrize("unit", SERVICES)
def test_the_exposure_is_small(root: Path, unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", f"--root={root}", "--offline=yes", "--no-pager", unit],
        capture_output=True,
        text=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= WORST, done.stdout


@pytest.mark.parametrize("unit", SERVICES)
def test_a_daemon_has_a_watchdog_and_says_when_it_is_ready(unit: str) -> None:
    text = (UNITS / unit).read_text()
    if "Type=oneshot" in text:
        assert "RemainAfterExit=yes" in text
    else:
        assert "Type=notify" in text
        assert "WatchdogSec=" in text
        assert "Restart=always" in text


@pytest.mark.parametrize("unit", SERVICES)
def test_no_service_is_root(unit: str) -> None:
    text = (UNITS / unit).read_text()
    assert re.search(r"^(User=sennit-|DynamicUser=yes)", text, re.MULTILINE)


def test_the_commands_of_the_units_exist() -> None:
    for unit in SERVICES:
        for name in re.findall(r"/bin/sennit (\S+)", (UNITS / unit).read_text()):
            assert name in command_modules(), unit


def test_the_agent_stops_before_the_edge_and_bird() -> None:
    """Units stop in the reverse order of After=: the announcement goes first."""
    after = re.findall(r"^After=(.*)$", (UNITS / "sennit-agent.service").read_text(), re.MULTILINE)
    assert {"bird.service", "sennit-edge.service", "sennit-forwarder.service"} <= set(" ".join(after).split())


def test_the_announced_prefix_has_a_discard_route() -> None:
    """RFC 4632 section 4.2: an unused address of it would go back to the uplink, and come again."""
    text = (UNITS / "sennit-vip.service").read_text()
    assert 'for each in $$PREFIXES; do ip route replace blackhole "$$each"' in text
    settings = UNITS.parents[1] / "ansible" / "roles" / "edge" / "templates" / "vip.env.j2"
    assert "PREFIXES=\"{{ edge_prefixes | join(' ') }}\"" in settings.read_text()
