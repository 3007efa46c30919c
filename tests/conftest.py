"""Capabilities: a test says what it needs, and is skipped, or in CI fails, where the machine has it not."""

import functools
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# an example that took long on a busy machine is no failure
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# clients in tests, also in child processes, never read or write the user's own known hosts
_KNOWN_HOSTS = tempfile.TemporaryDirectory(prefix="sennit-known-hosts-")
os.environ["SENNIT_KNOWN_HOSTS"] = str(Path(_KNOWN_HOSTS.name) / "session")
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _own_known_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a file of its own: edges of two tests have different fleet keys."""
    monkeypatch.setenv("SENNIT_KNOWN_HOSTS", str(Path(_KNOWN_HOSTS.name) / f"test-{next(_numbers)}"))


def _has_root() -> bool:
    return os.geteuid() == 0


@functools.cache
def _has_netns() -> bool:
    name = f"probe-{os.getpid()}"
    if not _has_root() or subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        return False
    return subprocess.run(["ip", "netns", "del", name], capture_output=True).returncode == 0


@functools.cache
def _has_bcc() -> bool:
    try:
        import bcc  # noqa: F401
    except ImportError:
        return False
    return _has_root()


@functools.cache
def _has_mptcp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
    except OSError:
        return False
    return True


@functools.cache
def _has_docker() -> bool:
    if shutil.which("docker") is None:
        return False
    return all(
        subprocess.run(["docker", *words], capture_output=True).returncode == 0
        for words in (["info"], ["compose", "version"])
    )


# what a test's downloads remember must not decide where another test's go
os.environ["SENNIT_EDGE_CACHE"] = "none"

CAPABILITIES: dict[str, Callable[[], bool]] = {
    "root": _has_root,
    "netns": _has_netns,
    "bcc": _has_bcc,
    "clang": lambda: (
        "SENNIT_TEST_OBJECT" in os.environ or all(shutil.which(name) for name in ("clang", "llvm-strip"))
    ),
    "mptcp": _has_mptcp,
    "docker": _has_docker,
    "qemu": lambda: all(shutil.which(name) for name in ("qemu-system-x86_64", "mmdebstrap", "ssh")),
    "container": lambda: all(shutil.which(name) for name in ("systemd-nspawn", "mmdebstrap", "ssh")),
    "arm64": lambda: all(shutil.which(name) for name in ("qemu-aarch64-static", "arch-test")),
    "mmdebstrap": lambda: shutil.which("mmdebstrap") is not None,
    "dockerd": lambda: shutil.which("dockerd", path="/usr/sbin:/usr/bin") is not None,
    "chromium": lambda: shutil.which("chromium") is not None,
    "spin": lambda: shutil.which("spin") is not None and shutil.which("gcc") is not None,
    "rsyslog": lambda: shutil.which("rsyslogd") is not None,
    "postgresql": lambda: any(Path("/usr/lib/postgresql").glob("*/bin/postgres")),
    "wireguard": lambda: all(shutil.which(name) for name in ("wireguard-go", "wg")),
    "tshark": lambda: shutil.which("tshark") is not None,
    "unbound": lambda: shutil.which("unbound", path="/usr/sbin:/usr/bin") is not None,
    "bird": lambda: shutil.which("bird", path="/usr/sbin:/usr/bin") is not None,
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = [name for mark in item.iter_markers("needs") for name in mark.args if not CAPABILITIES[name]()]
    if missing:
        message = f"this machine lacks: {', '.join(missing)}"
        if os.environ.get("EXPECT_ALL_CAPABILITIES") == "1":
            pytest.fail(message)
        pytest.skip(message)
