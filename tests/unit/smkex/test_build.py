"""The same tests run on the sources, where coverage is counted, and (`make test-compiled`) on what releases hold."""

import importlib
import os

import pytest

import smkex.core
from sennit.main import main
from smkex.build import core_is_compiled

COMPILED = os.environ.get("EXPECT_COMPILED") == "1"


def test_the_core_under_test_is_the_one_that_was_meant() -> None:
    assert core_is_compiled() is COMPILED
    for name in ("session.record", "session.session", "handshake.client", "handshake.tls"):
        file = importlib.import_module(f"{smkex.core.__name__}.{name}").__file__
        assert file is not None
        assert file.endswith(".so" if COMPILED else ".py")


def test_the_version_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip().endswith("core compiled" if COMPILED else "core interpreted")
