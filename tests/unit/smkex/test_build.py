"""The same tests run on the sources, where coverage is counted, and (`make test-compiled`) on what releases hold."""

import importlib
import os

import pytest

from sennit.main import main
from smkex.build import core_is_compiled

COMPILED = os.environ.get("EXPECT_COMPILED") == "1"


def test_the_modules_under_test_are_those_that_were_meant() -> None:
    assert core_is_compiled() is COMPILED
    for name in (
        "smkex.core.session.record",
        "smkex.core.session.session",
        "smkex.core.handshake.client",
        "smkex.core.handshake.tls",
        "smkex.transport.reactor",
        "smkex.transport.flow",
        "smkex.transport.driver",
        "smkex.server.handshake.tcp",
    ):
        file = importlib.import_module(name).__file__
        assert file is not None
        assert file.endswith(".so" if COMPILED else ".py")


def test_the_version_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip().endswith("core compiled" if COMPILED else "core interpreted")
